/**
 * A flist's hold on its chunks: one row for all of them whose ids begin with the same byte, as hashes fill those
 * evenly: 46,000 chunks are 256 rows, which a flist is kept with in a tenth of the time that a row each takes.
 * Key: that byte, length of the ids u8, number of the flist u48. Value: the ids, one behind the other.
 */
import { concat, readU64be, toLatin1, u64be } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { RowChange, RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

const KEY_BYTES = 8
const ID_LENGTHS = [16, 32]

type RowPut = Extract<RowChange, { type: 'put' }>

export interface References {
  readonly firstByte: number
  /** Of the flist. */
  readonly number: number
  readonly chunks: readonly Uint8Array[]
}

/** Ids of one length that begin with the same byte, one behind the other. */
export interface IdGroup {
  readonly firstByte: number
  readonly idBytes: number
  readonly ids: Uint8Array
}

/** The rows by which a flist references chunks: these, and those that stand in groups already. */
export function* referenceRows(
  number: number,
  chunks: readonly Uint8Array[],
  grouped: readonly IdGroup[] = [],
): Generator<RowPut> {
  const groups = new Map<number, Uint8Array[]>()
  for (const { firstByte, idBytes, ids } of grouped) groups.set((firstByte << 8) | idBytes, [ids])
  for (const chunk of chunks) {
    const group = ((chunk[0] ?? 0) << 8) | chunk.length
    const ids = groups.get(group)
    if (ids === undefined) groups.set(group, [chunk])
    else ids.push(chunk)
  }
  for (const [group, ids] of groups) {
    const key = referenceKey(group >> 8, group & 0xff, number)
    yield { type: 'put', space: SPACES.references, key, value: concat(ids) }
  }
}

/** Deletions of all that a flist references; a row that is not there is left out. */
export function* referenceDeletions(rows: RowStore, number: number): Generator<RowChange> {
  for (let firstByte = 0; firstByte < 256; firstByte++) {
    for (const idBytes of ID_LENGTHS) {
      const key = referenceKey(firstByte, idBytes, number)
      if (rows.get(SPACES.references, key) !== undefined)
        yield { type: 'delete', space: SPACES.references, key }
    }
  }
}

/** Every chunk that a flist references, in order of their first byte. */
export function referencesOf(rows: RowStore, number: number): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let firstByte = 0; firstByte < 256; firstByte++) {
    for (const idBytes of ID_LENGTHS) {
      const key = referenceKey(firstByte, idBytes, number)
      const value = rows.get(SPACES.references, key)
      if (value !== undefined) chunks.push(...parseReferences(key, value).chunks)
    }
  }
  return chunks
}

/** Those of some chunks that flists reference whose number `counts`, as text. */
export async function otherReferences(
  rows: RowStore,
  chunks: readonly Uint8Array[],
  counts: (number: number) => boolean,
  options: AbortOptions = {},
): Promise<ReadonlySet<string>> {
  const wanted = new Set(chunks.map(toLatin1))
  const found = new Set<string>()
  for (const firstByte of new Set(chunks.map(([byte = 0]) => byte))) {
    const range = {
      gte: Uint8Array.of(firstByte),
      ...(firstByte < 0xff && { lt: Uint8Array.of(firstByte + 1) }),
    }
    for await (const [key, value] of rows.rows(SPACES.references, range, options)) {
      const { number, chunks: named } = parseReferences(key, value)
      if (!counts(number)) continue
      for (const id of named.map(toLatin1)) if (wanted.has(id)) found.add(id)
    }
  }
  return found
}

export function parseReferences(key: Uint8Array, value: Uint8Array): References {
  const [firstByte = 0, idBytes = 0] = key
  const number = key.length === KEY_BYTES ? readU64be(concat([Buffer.alloc(2), key.subarray(2)])) : NaN
  const chunks: Uint8Array[] = []
  for (let at = 0; idBytes > 0 && at + idBytes <= value.length; at += idBytes)
    chunks.push(value.subarray(at, at + idBytes))
  return { firstByte, number, chunks }
}

/** Tells of one chunk after the other whether a flist references it; cheap for ids in their order. */
export class ReferenceLookup {
  readonly #rows: RowStore
  readonly #number: number
  #group = -1
  #named = new Set<string>()

  constructor(rows: RowStore, number: number) {
    this.#rows = rows
    this.#number = number
  }

  names(chunk: Uint8Array): boolean {
    const [firstByte = 0] = chunk
    const group = (firstByte << 8) | chunk.length
    if (group !== this.#group) {
      const key = referenceKey(firstByte, chunk.length, this.#number)
      const value = this.#rows.get(SPACES.references, key)
      const { chunks } = parseReferences(key, value ?? new Uint8Array())
      this.#named = new Set(chunks.map(toLatin1))
      this.#group = group
    }
    return this.#named.has(toLatin1(chunk))
  }
}

function referenceKey(firstByte: number, idBytes: number, number: number): Uint8Array {
  const key = u64be(number) // the upper 16 bits of a number are never used
  key[0] = firstByte
  key[1] = idBytes
  return key
}
