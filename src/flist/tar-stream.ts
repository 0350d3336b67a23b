import { encodeTarHeader, TAR_END, tarPadding } from '../format/tar.ts'
import type { TarEntry, TarKind } from '../format/tar.ts'
import type { AbortOptions } from '../util/units.ts'
import type { EntryContent, FlistEntry } from './entry.ts'

export interface TarStreamOptions extends AbortOptions {
  /** Told of each entry that a tar archive cannot hold: sockets, and special files of unknown kind. */
  readonly onSkipped?: (entry: FlistEntry) => void
}

/**
 * A tar archive of entries, in their order: GNU format, raw names, owners by number and name, devices with their
 * numbers. The root goes first as `./`.
 * @throws what `content` throws: an archive that ends early is never ended in order.
 */
export async function* tarStream(
  entries: AsyncIterable<FlistEntry> | Iterable<FlistEntry>,
  content: (entry: FlistEntry, options: AbortOptions) => AsyncIterable<Uint8Array>,
  { signal, onSkipped }: TarStreamOptions = {},
): AsyncGenerator<Uint8Array> {
  for await (const entry of entries) {
    signal?.throwIfAborted()
    const header = tarEntry(entry)
    if (header === undefined) {
      onSkipped?.(entry)
      continue
    }
    yield encodeTarHeader(header)
    if (header.sizeBytes === 0) continue
    yield* content(entry, { signal })
    const padding = tarPadding(header.sizeBytes)
    if (padding > 0) yield new Uint8Array(padding)
  }
  yield TAR_END
}

function tarEntry(entry: FlistEntry): TarEntry | undefined {
  const { path, content, mode, uid, gid, userName, groupName, modifiedS } = entry
  const kind = tarKind(content)
  if (kind === undefined) return undefined
  return {
    path,
    kind,
    mode,
    uid,
    gid,
    userName,
    groupName,
    modifiedS,
    sizeBytes: content.kind === 'file' ? entry.sizeBytes : 0,
    ...(content.kind === 'link' ? { linkTarget: content.target } : {}),
    ...(content.kind === 'special' ? { major: content.major, minor: content.minor } : {}),
  }
}

function tarKind(content: EntryContent): TarKind | undefined {
  if (content.kind !== 'special') return content.kind
  const { special } = content
  return special === 'socket' || special === 'unknown' ? undefined : special
}
