/**
 * Ids of chunks on their way into order, those with the same first byte in one piece of memory, as hashes fill these
 * evenly. A large flist has hundreds of thousands: an array for each took 100 bytes, and a string for each 100 more.
 */
import { setImmediate as breathe } from 'node:timers/promises'
import { asBuffer, compareBytes } from '../util/bytes.ts'

/** Ids added in one step. */
const ADDED_AT_ONCE = 4096

/** Bytes after the first one that are compared as one number, which tells nearly all apart. */
const PREFIX_BYTES = 6

interface Bucket {
  bytes: Uint8Array
  length: number
}

export class ChunkIdSet {
  /** By length of the ids and first byte. */
  readonly #buckets = new Map<number, Bucket>()

  /** Adds ids that stand one behind the other; others get their turn meanwhile. */
  async addPacked(ids: Uint8Array, idBytes: number): Promise<void> {
    for (let at = 0, added = 1; at < ids.length; at += idBytes, added++) {
      this.#add(ids, at, idBytes)
      if (added % ADDED_AT_ONCE === 0) await breathe()
    }
  }

  async addAll(ids: readonly Uint8Array[]): Promise<void> {
    for (const [at, id] of ids.entries()) {
      this.#add(id, 0, id.length)
      if (at % ADDED_AT_ONCE === ADDED_AT_ONCE - 1) await breathe()
    }
  }

  /** For each first byte the ids that begin with it, if there are any: in byte order, each once, and views of this. */
  *inOrder(): Generator<Uint8Array[]> {
    const lengths = [...new Set([...this.#buckets.keys()].map((key) => key >> 8))]
    for (let firstByte = 0; firstByte < 256; firstByte++) {
      const ids = lengths.flatMap((idBytes) => this.#idsOf((idBytes << 8) | firstByte, idBytes))
      if (ids.length > 0) yield sortedOnce(ids)
    }
  }

  #idsOf(key: number, idBytes: number): Uint8Array[] {
    const { bytes, length } = this.#buckets.get(key) ?? NONE
    const ids: Uint8Array[] = []
    for (let at = 0; at < length; at += idBytes) ids.push(bytes.subarray(at, at + idBytes))
    return ids
  }

  #add(from: Uint8Array, at: number, idBytes: number): void {
    const key = (idBytes << 8) | (from[at] ?? 0)
    let bucket = this.#buckets.get(key)
    if (bucket === undefined)
      this.#buckets.set(key, (bucket = { bytes: new Uint8Array(8 * idBytes), length: 0 }))
    if (bucket.length === bucket.bytes.length) {
      const larger = new Uint8Array(2 * bucket.length)
      larger.set(bucket.bytes)
      bucket.bytes = larger
    }
    const { bytes, length } = bucket
    for (let byte = 0; byte < idBytes; byte++) bytes[length + byte] = from[at + byte] ?? 0 // `set` costs more for so few
    bucket.length += idBytes
  }
}

const NONE: Bucket = { bytes: new Uint8Array(), length: 0 }

function sortedOnce(ids: readonly Uint8Array[]): Uint8Array[] {
  const prefixes = Float64Array.from(ids, (id) =>
    id.length > PREFIX_BYTES ? asBuffer(id).readUIntBE(1, PREFIX_BYTES) : 0,
  )
  const order = Uint32Array.from(ids, (_, at) => at).sort(
    (a, b) =>
      (prefixes[a] ?? 0) - (prefixes[b] ?? 0) || compareBytes(ids[a] ?? NONE.bytes, ids[b] ?? NONE.bytes),
  )
  const sorted: Uint8Array[] = []
  for (const at of order) {
    const id = ids[at] ?? NONE.bytes
    const before = sorted.at(-1)
    if (before === undefined || compareBytes(before, id) !== 0) sorted.push(id)
  }
  return sorted
}
