/** From format 1, which had a row for each reference: chunk id ‖ flist number u48 in the space `cref`. */
import { concat, readU64be, toLatin1 } from '../util/bytes.ts'
import { referenceRows } from './references.ts'
import type { RowChange, RowStore } from './row-store.ts'

const SPACE = 'cref'
const NUMBER_BYTES = 6
const AT_ONCE = 2000

/** A row is dropped in the batch that packs it, so that this can go on where it was cut off. */
export async function packReferences(rows: RowStore): Promise<void> {
  let keys: Uint8Array[] = []
  for await (const [key] of rows.rows(SPACE)) {
    keys.push(key)
    if (keys.length < AT_ONCE) continue
    await pack(rows, keys)
    keys = []
  }
  await pack(rows, keys)
}

async function pack(rows: RowStore, keys: readonly Uint8Array[]): Promise<void> {
  const packed = new Map<string, Extract<RowChange, { type: 'put' }>>()
  for (const key of keys) {
    const at = key.length - NUMBER_BYTES
    const number = readU64be(concat([new Uint8Array(8 - NUMBER_BYTES), key.subarray(at)]))
    for (const change of referenceRows(number, [key.subarray(0, at)])) {
      const place = toLatin1(change.key)
      const before = packed.get(place)?.value ?? rows.get(change.space, change.key) ?? new Uint8Array()
      packed.set(place, { ...change, value: concat([before, change.value]) })
    }
  }
  const dropped = keys.map((key): RowChange => ({ type: 'delete', space: SPACE, key }))
  await rows.write([...packed.values(), ...dropped])
}
