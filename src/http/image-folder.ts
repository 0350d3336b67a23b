/** One directory of a flist, a page of it at a time, and the counters of the whole. */
import type { FlistCounts, FlistEntry } from '../flist/entry.ts'
import type { FlistInspector } from '../flist/inspector.ts'
import { asBuffer, equalBytes, isUtf8, toUtf8 } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import { PAGE_ENTRIES } from '../web/pager.ts'
import type { FileKind, FileRow, Folder } from '../web/preview.ts'

const SLASH = 0x2f

export interface FolderView {
  readonly counts: FlistCounts
  /** Absent when there is no such directory. */
  readonly folder: Folder | undefined
}

/**
 * Walks a flist for the entries of the directory at `path` (empty: the root), from the `from`th on. With `known`
 * counters it stops where the page is full.
 * @throws {MalformedError} and {LimitError} about the bytes.
 */
export async function readFolder(
  inspector: FlistInspector,
  bytes: Uint8Array,
  { path, from, known }: { path: Uint8Array; from: number; known: FlistCounts | undefined },
  options: AbortOptions,
): Promise<FolderView> {
  const reading = new FolderReading(path, from)
  for await (const entries of inspector.entries(bytes, options)) {
    for (const entry of entries) reading.take(entry)
    if (known !== undefined && reading.isFull) break
  }
  return { counts: known ?? reading.counts, folder: reading.folder() }
}

class FolderReading {
  readonly counts = { regular: 0, symlink: 0, directory: 0, special: 0, failure: 0, fullSize: 0 }
  readonly #path: Uint8Array
  readonly #from: number
  readonly #rows: FileRow[] = []
  #seen = 0
  #isThere = false

  constructor(path: Uint8Array, from: number) {
    this.#path = path
    this.#from = from
    this.#isThere = path.length === 0
  }

  /** One more than a page is here, so it is known that there is more. */
  get isFull(): boolean {
    return this.#rows.length > PAGE_ENTRIES
  }

  take(entry: FlistEntry): void {
    const { path, content, sizeBytes } = entry
    if (path.length === 0) return
    this.counts[COUNTER[content.kind]]++
    if (content.kind === 'file') this.counts.fullSize += sizeBytes
    if (content.kind === 'directory' && equalBytes(path, this.#path)) this.#isThere = true
    if (!isIn(path, this.#path)) return
    if (this.#seen++ >= this.#from && !this.isFull) this.#rows.push(rowOf(entry))
  }

  folder(): Folder | undefined {
    if (!this.#isThere) return undefined
    const rows = this.#rows.slice(0, PAGE_ENTRIES)
    return { rows, from: this.#from, hasMore: this.isFull, trail: trailOf(this.#path) }
  }
}

const COUNTER = { file: 'regular', link: 'symlink', directory: 'directory', special: 'special' } as const

/** True for what stands in the directory itself, not deeper. */
function isIn(path: Uint8Array, directory: Uint8Array): boolean {
  const cut = path.lastIndexOf(SLASH)
  return equalBytes(path.subarray(0, Math.max(0, cut)), directory)
}

function rowOf({ path, content, sizeBytes, mode, uid, gid, modifiedS }: FlistEntry): FileRow {
  const name = toUtf8(path.subarray(path.lastIndexOf(SLASH) + 1))
  const kind: FileKind = content.kind === 'special' ? content.special : content.kind
  const target = content.kind === 'link' ? toUtf8(content.target) : undefined
  return { name, at: addressOf(path), kind, sizeBytes, mode, uid, gid, modifiedS, target }
}

/** As the query of a URL: readable where it can be. */
function addressOf(path: Uint8Array): FileRow['at'] {
  if (path.length === 0) return {}
  return isUtf8(path) ? { path: toUtf8(path) } : { path64: asBuffer(path).toString('base64url') }
}

function trailOf(path: Uint8Array): Folder['trail'] {
  const trail = [{ name: '', at: {} as FileRow['at'] }]
  for (let start = 0; start < path.length;) {
    const slash = path.indexOf(SLASH, start)
    const end = slash < 0 ? path.length : slash
    trail.push({ name: toUtf8(path.subarray(start, end)), at: addressOf(path.subarray(0, end)) })
    start = end + 1
  }
  return trail
}
