import { createHash } from 'node:crypto'
import { CorruptError } from '../errors.ts'
import type { Descriptor } from './manifest.ts'

/** Looks at content as it passes: its length and its digest are what a descriptor says, or it is refused. */
export class Verifier {
  readonly #expected: Pick<Descriptor, 'digest' | 'sizeBytes'>
  readonly #hash = createHash('sha256')
  #bytes = 0

  constructor(expected: Pick<Descriptor, 'digest' | 'sizeBytes'>) {
    this.#expected = expected
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** @throws {CorruptError} as soon as there is more than there should be. */
  update(piece: Uint8Array): void {
    this.#bytes += piece.length
    if (this.#bytes > this.#expected.sizeBytes)
      throw this.#corrupt(`there is more than the ${this.#expected.sizeBytes} bytes it was said to have`)
    this.#hash.update(piece)
  }

  /** @throws {CorruptError} */
  finish(): void {
    const { digest, sizeBytes } = this.#expected
    if (this.#bytes !== sizeBytes)
      throw this.#corrupt(`there are ${this.#bytes} bytes, and not the ${sizeBytes} it was said to have`)
    if (`sha256:${this.#hash.digest('hex')}` !== digest) throw this.#corrupt('its content has another digest')
  }

  #corrupt(reason: string): CorruptError {
    const { digest } = this.#expected
    return new CorruptError(digest, `${digest.slice(0, 19)} of the image is damaged: ${reason}`)
  }
}

/** @throws {CorruptError} when they are not what the descriptor says. */
export function verify(bytes: Uint8Array, expected: Pick<Descriptor, 'digest' | 'sizeBytes'>): void {
  const verifier = new Verifier(expected)
  verifier.update(bytes)
  verifier.finish()
}
