import { LimitError, MalformedError } from '../errors.ts'
import { toLatin1 } from '../util/bytes.ts'

/** Extended headers of pax (POSIX.1-2017, pax "Extended Header"): records of `length key=value\n`. */
export type PaxRecord = readonly [key: string, value: Uint8Array]

const SPACE = 0x20
const EQUALS = 0x3d
const NEWLINE = 0x0a

/** The records in their order; keys may repeat, values are views. @throws {MalformedError} */
export function parsePaxRecords(bytes: Uint8Array): PaxRecord[] {
  const records: PaxRecord[] = []
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(SPACE, at)
    const digits = space < 0 ? '' : toLatin1(bytes.subarray(at, Math.min(space, at + 12)))
    const end = at + (/^\d+$/.test(digits) ? Number(digits) : 0)
    const equals = bytes.indexOf(EQUALS, space)
    const isWhole = end <= bytes.length && bytes[end - 1] === NEWLINE
    if (space < 0 || equals < space || equals >= end - 1 || !isWhole) {
      throw new MalformedError('tar', 'not a tar archive: a pax header is broken')
    }
    records.push([toLatin1(bytes.subarray(space + 1, equals)), bytes.subarray(equals + 1, end - 1)])
    at = end
  }
  return records
}

/**
 * What pax headers say of the next member: its own records over the global ones. An empty value takes a record back.
 * Values are copies.
 */
export class PaxState {
  readonly #maxBytes: number
  #global = new Map<string, Uint8Array>()
  #local: PaxRecord[] = []

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** @throws {MalformedError | LimitError} */
  addGlobal(bytes: Uint8Array): void {
    for (const [key, value] of parsePaxRecords(bytes)) this.#global.set(key, value.slice())
    let total = 0
    for (const [key, value] of this.#global) total += key.length + value.length
    if (total > this.#maxBytes) throw new LimitError('global pax headers', this.#maxBytes, 'bytes')
  }

  /** @throws {MalformedError} */
  addLocal(bytes: Uint8Array): void {
    for (const [key, value] of parsePaxRecords(bytes)) this.#local.push([key, value.slice()])
  }

  /** True when members have nothing to look up: most of the time. */
  get isEmpty(): boolean {
    return this.#local.length === 0 && this.#global.size === 0
  }

  get(key: string): Uint8Array | undefined {
    const value = this.#local.findLast(([name]) => name === key)?.[1] ?? this.#global.get(key)
    return value === undefined || value.length === 0 ? undefined : value
  }

  /** The member's own records, in their order. */
  get records(): readonly PaxRecord[] {
    return this.#local
  }

  /** The member has had its header. */
  endMember(): void {
    if (this.#local.length > 0) this.#local = []
  }
}

/** A decimal number of a pax value, which may have a sign and a fraction: the whole seconds below it. */
export function paxNumber(key: string, value: Uint8Array): number {
  const text = toLatin1(value.subarray(0, 64))
  if (!/^-?\d+(?:\.\d*)?$/.test(text)) {
    throw new MalformedError('tar', `not a tar archive: the pax header ${key} is no number`)
  }
  return Math.floor(Number(text))
}
