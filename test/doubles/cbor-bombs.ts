import { concat } from '../../src/util/bytes.ts'
import { MIB } from '../../src/util/units.ts'

const hex = (text: string) => Buffer.from(text, 'hex')

/** Small messages that become large, deep or ambiguous, and what they are (threat model, row 14). */
export const CBOR_BOMBS: ReadonlyMap<string, Uint8Array> = new Map<string, Uint8Array>([
  ['a million empty lists', concat([hex('9a000fffff'), Buffer.alloc(MIB - 1, 0x80)])],
  ['a million lists in each other', Buffer.alloc(MIB, 0x81)],
  ['a list of 2^32 - 1 items', hex('9affffffff00')],
  ['a list of 2^64 - 1 items', hex('9bffffffffffffffff00')],
  ['a map of 2^32 - 1 keys', hex('baffffffff00')],
  ['a map of 300 keys', concat([hex('b9012c'), ...Array.from({ length: 300 }, (_, at) => key(at))])],
  ['bytes of 2^63 length', hex('5b7fffffffffffffff00')],
  ['text of 4 GiB', hex('7affffffff61')],
  ['the same key twice', hex('8300' + '00' + 'a2616101616102')],
  ['keys out of order', hex('8300' + '00' + 'a2616201616101')],
  ['an indefinite list', hex('9f0000a0ff')],
  ['indefinite bytes', hex('8300005f4101ff')],
  ['a float', hex('830000f93c00')],
  ['a number that is not shortest', hex('83180000a0')],
  ['a tag that is no link', hex('830000c11a00000000')],
  ['a million tags', Buffer.alloc(MIB, 0xc1)],
  ['undefined', hex('830000f7')],
  ['bytes after its end', hex('83187f00a000')],
  ['text that is no UTF-8', hex('83000061ff')],
  ['a key that is a prototype', hex('830000a1695f5f70726f746f5f5fa0')],
])

function key(at: number): Uint8Array {
  return Buffer.from([0x63, 0x61 + (at >> 8), 0x61 + ((at >> 4) & 15), 0x61 + (at & 15), 0x00])
}
