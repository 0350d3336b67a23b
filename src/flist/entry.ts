/** One file of a filesystem image, as ingest makes it and a reader gives it back. Names are raw bytes. */
export interface BlockRef {
  /** Storage key: BLAKE2b-128 of the encoded chunk. */
  readonly id: Uint8Array
  /** Decipher key: BLAKE2b-128 of the plain block. */
  readonly key: Uint8Array
}

export type SpecialKind = 'socket' | 'block' | 'char' | 'fifo' | 'unknown'

export type EntryContent =
  | { readonly kind: 'directory' }
  | { readonly kind: 'file'; readonly blocks: readonly BlockRef[] }
  | { readonly kind: 'link'; readonly target: Uint8Array }
  | {
      readonly kind: 'special'
      readonly special: SpecialKind
      readonly major: number
      readonly minor: number
    }

export interface FlistEntry {
  /** Relative to the root, `/`-separated, no leading or trailing slash; empty for the root itself. */
  readonly path: Uint8Array
  readonly content: EntryContent
  readonly sizeBytes: number
  /** Permission bits only, 0…07777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly userName: Uint8Array
  readonly groupName: Uint8Array
  /** Unix seconds, u32. */
  readonly modifiedS: number
}

/** Inodes below the root by type (hub-api.md 4.4). */
export interface FlistCounts {
  readonly regular: number
  readonly symlink: number
  readonly directory: number
  readonly special: number
  /** Entries that could not be read; always 0 for what we wrote. */
  readonly failure: number
  /** Sum of the sizes of regular files, bytes. */
  readonly fullSize: number
}
