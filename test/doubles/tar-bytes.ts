/** Tar archives by hand: as other programs write them, or as nobody should. */
import { encodeTarHeader, TAR_END, tarPadding } from '../../src/format/tar.ts'
import type { TarEntry } from '../../src/format/tar.ts'

export interface Handmade extends Partial<Omit<TarEntry, 'path' | 'linkTarget'>> {
  readonly path: string | Uint8Array
  readonly content?: string | Uint8Array
  readonly linkTarget?: string
}

/** A member in GNU format. */
export function member({ path, content = '', linkTarget, ...rest }: Handmade): Buffer {
  const bytes = Buffer.from(content)
  const header = encodeTarHeader({
    kind: 'file',
    mode: rest.kind === 'directory' ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    userName: Buffer.from('root'),
    groupName: Buffer.from('root'),
    modifiedS: 1_700_000_000,
    sizeBytes: bytes.length,
    ...(linkTarget === undefined ? {} : { linkTarget: Buffer.from(linkTarget) }),
    ...rest,
    path: Buffer.from(path),
  })
  return Buffer.concat([header, bytes, Buffer.alloc(tarPadding(bytes.length))])
}

export function tarOf(...members: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...members, TAR_END])
}

/** Changes bytes of the first header and makes its checksum fit again. */
export function patched(archive: Uint8Array, changes: Readonly<Record<number, string | Uint8Array>>): Buffer {
  const bytes = Buffer.from(archive)
  for (const [at, value] of Object.entries(changes)) bytes.set(Buffer.from(value), Number(at))
  bytes.fill(0x20, 148, 156)
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return bytes
}

/** Octal in a field of 12. */
export function octal(value: number): string {
  return `${value.toString(8).padStart(11, '0')}\0`
}

/** A pax header (`x`, or `g` for all members) with these records, in this order. */
export function pax(records: ReadonlyArray<readonly [string, string | Uint8Array]>, type = 'x'): Buffer {
  const content = Buffer.concat(records.map(([key, value]) => paxRecord(key, Buffer.from(value))))
  return patched(member({ path: 'PaxHeaders/x', content }), { 156: type })
}

function paxRecord(key: string, value: Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}
