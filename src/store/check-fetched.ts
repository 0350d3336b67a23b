/** What a peer sent as a flist, against its descriptor. */
import { CorruptError } from '../errors.ts'
import { decodeChunkListPage, decodeDescriptor, descriptorId } from '../format/descriptor.ts'
import type { Descriptor } from '../format/descriptor.ts'
import { compareBytes, equalBytes, toHex } from '../util/bytes.ts'
import { digestFlist, type FlistDigests, type Page, type Part } from './flist-digests.ts'
import type { FetchedFlist } from './flist-store.ts'

export interface CheckedFlist {
  /** Ids of its chunks, in order. */
  readonly list: readonly Uint8Array[]
  readonly pages: readonly Page[]
  readonly parts: readonly Part[]
}

/** @throws {CorruptError} when something does not fit; {MalformedError | LimitError} for what cannot be read. */
export async function checkFetched({
  id,
  descriptor: bytes,
  pages,
  bytes: file,
}: FetchedFlist): Promise<CheckedFlist> {
  if (!equalBytes(descriptorId(bytes), id)) throw unfit(id, 'is not its own')
  const descriptor = decodeDescriptor(bytes)
  const digests = await digestFlist(file)
  if (file.length !== descriptor.size || !isSame(digests, descriptor))
    throw unfit(id, 'does not fit its file')
  const kept = pages.map((page): Page => ({ id: descriptorId(page), bytes: page }))
  if (
    !areEqual(
      kept.map((page) => page.id),
      descriptor.chunks,
    )
  )
    throw unfit(id, 'has other pages')
  const list: Uint8Array[] = []
  let total = 0
  for (const page of pages) {
    for (const [chunk, length] of decodeChunkListPage(page)) {
      const before = list.at(-1)
      if (before !== undefined && compareBytes(before, chunk) >= 0) throw unfit(id, 'has a list out of order')
      list.push(chunk)
      total += length
    }
  }
  if (list.length !== descriptor.nChunks || total !== descriptor.bytes)
    throw unfit(id, 'counts its chunks wrong')
  return { list, pages: kept, parts: digests.parts }
}

function isSame({ sha256, md5, parts }: FlistDigests, descriptor: Descriptor): boolean {
  return (
    equalBytes(sha256, descriptor.sha256) &&
    equalBytes(md5, descriptor.md5) &&
    areEqual(
      parts.map((part) => part.sha256),
      descriptor.parts,
    )
  )
}

function areEqual(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((one, at) => equalBytes(one, b[at] ?? new Uint8Array(0)))
}

function unfit(id: Uint8Array, why: string): CorruptError {
  return new CorruptError(toHex(id), `the descriptor ${toHex(id)} ${why}`)
}
