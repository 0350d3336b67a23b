import { MalformedError } from '../errors.ts'
import type { CborValue } from './dag-cbor.ts'

/**
 * A decoded map being read field by field into a typed record: each getter refuses a missing field or one of another
 * type, and `end` refuses fields that nobody asked for.
 */
export class RecordReader {
  readonly #fields: ReadonlyMap<string, CborValue>
  readonly #asked = new Set<string>()
  readonly #format: string

  constructor(value: CborValue, format: string) {
    this.#format = format
    if (!isMap(value)) throw this.#wrong('it', 'a map')
    this.#fields = new Map(Object.entries(value))
  }

  /** Is the field there? */
  has(name: string): boolean {
    return this.#fields.has(name)
  }

  get isEmpty(): boolean {
    return this.#fields.size === 0
  }

  value(name: string): CborValue {
    this.#asked.add(name)
    const value = this.#fields.get(name)
    if (value === undefined) throw this.#wrong(name, 'there')
    return value
  }

  /** Bytes of one of the given lengths. */
  bytes(name: string, ...lengths: number[]): Uint8Array {
    return asBytes(this.value(name), lengths, () => this.#wrong(name, `${lengths.join(' or ')} bytes`))
  }

  /** A safe integer of at least `min`. */
  integer(name: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
    return asInteger(this.value(name), min, max, () => this.#wrong(name, `an integer from ${min} to ${max}`))
  }

  text(name: string, maxBytes: number): string {
    const value = this.value(name)
    if (typeof value !== 'string' || Buffer.byteLength(value) > maxBytes) {
      throw this.#wrong(name, `text of at most ${maxBytes} bytes`)
    }
    return value
  }

  /** One of a closed list of words. */
  word<const W extends string>(name: string, words: readonly W[]): W {
    const value = this.value(name)
    const word = words.find((one) => one === value)
    if (word === undefined) throw this.#wrong(name, `one of ${words.join(', ')}`)
    return word
  }

  array(name: string, minItems: number, maxItems: number): readonly CborValue[] {
    const value = this.value(name)
    if (!isArray(value) || value.length < minItems || value.length > maxItems) {
      throw this.#wrong(name, `a list of ${minItems} to ${maxItems} items`)
    }
    return value
  }

  /** A list of byte strings of one length. */
  bytesList(name: string, length: number, maxItems: number): Uint8Array[] {
    const wrong = () => this.#wrong(name, `a list of ${length} byte strings`)
    return this.array(name, 0, maxItems).map((item) => asBytes(item, [length], wrong))
  }

  /** A list of texts. */
  texts(name: string, maxItems: number, maxBytes: number): string[] {
    return this.array(name, 0, maxItems).map((item) => {
      if (typeof item !== 'string' || Buffer.byteLength(item) > maxBytes) {
        throw this.#wrong(name, `a list of texts of at most ${maxBytes} bytes`)
      }
      return item
    })
  }

  record(name: string): RecordReader {
    return new RecordReader(this.value(name), this.#format)
  }

  version(supported: number): void {
    if (this.value('v') !== supported) throw this.#wrong('v', String(supported))
  }

  /** @throws {MalformedError} for a field that the format does not have. */
  end(): void {
    for (const name of this.#fields.keys()) {
      if (!this.#asked.has(name)) throw this.#wrong(JSON.stringify(name.slice(0, 40)), 'a known field')
    }
  }

  /** For checks over several fields. */
  fail(message: string): MalformedError {
    return new MalformedError(this.#format, `the ${this.#format} is malformed: ${message}`)
  }

  #wrong(name: string, expected: string): MalformedError {
    return this.fail(`${name} is not ${expected}`)
  }
}

export function isArray(value: CborValue): value is readonly CborValue[] {
  return Array.isArray(value)
}

function isMap(value: CborValue): value is Readonly<Record<string, CborValue>> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

export function asBytes(
  value: CborValue | undefined,
  lengths: readonly number[],
  wrong: () => Error,
): Uint8Array {
  if (!(value instanceof Uint8Array) || !lengths.includes(value.length)) throw wrong()
  return value
}

export function asInteger(
  value: CborValue | undefined,
  min: number,
  max: number,
  wrong: () => Error,
): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) throw wrong()
  return value
}
