import { createHash, timingSafeEqual } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { InvalidInputError } from '../errors.ts'

/** As 0-db's for SELECT. */
export const MAX_PASSWORD_BYTES = 255

/** Wrong passwords of one address that may be waiting for their answer; more are refused without a look. */
const MAX_FAILING_PER_ADDRESS = 16

export interface PasswordGateOptions {
  /** `undefined`: no password opens this gate. */
  readonly password: string | undefined
  /** How long a wrong password waits for its answer. */
  readonly failureDelayMs: number
}

/**
 * Compares passwords in constant time and makes guessing slow: at most sixteen guesses of an address per delay,
 * whatever the number of its connections. Only who sends a wrong password waits, and readers never come here.
 */
export class PasswordGate {
  readonly #digest: Buffer | undefined
  readonly #failureDelayMs: number
  readonly #failing = new Map<string, number>()

  /** @throws {InvalidInputError} when nobody could send the password. */
  constructor(options: PasswordGateOptions) {
    const passwordBytes = Buffer.byteLength(options.password ?? 'none')
    if (passwordBytes === 0 || passwordBytes > MAX_PASSWORD_BYTES) {
      throw new InvalidInputError(`the chunk port's password must have 1 to ${MAX_PASSWORD_BYTES} bytes`)
    }
    this.#digest = options.password === undefined ? undefined : digest(options.password)
    this.#failureDelayMs = options.failureDelayMs
  }

  get isOpenable(): boolean {
    return this.#digest !== undefined
  }

  /** False also when `address` has too many wrong passwords waiting. */
  accepts(password: Uint8Array, address: string): boolean {
    if (this.#digest === undefined) return false
    if ((this.#failing.get(address) ?? 0) >= MAX_FAILING_PER_ADDRESS) return false
    return timingSafeEqual(digest(password), this.#digest)
  }

  /** Resolves when the answer to a wrong password may go out; the place is held even if the client has left. */
  async penalty(address: string): Promise<void> {
    const failing = this.#failing.get(address) ?? 0
    if (failing >= MAX_FAILING_PER_ADDRESS) return
    this.#failing.set(address, failing + 1)
    await sleep(this.#failureDelayMs, undefined, { ref: false })
    const left = (this.#failing.get(address) ?? 1) - 1
    if (left === 0) this.#failing.delete(address)
    else this.#failing.set(address, left)
  }
}

/** Equal lengths for the comparison, whatever was sent. */
function digest(password: string | Uint8Array): Buffer {
  return createHash('sha256').update(password).digest()
}

/** Whom a guess counts against: an IPv4 address, or the /64 that one customer usually has. */
export function guessSource(remoteAddress: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(remoteAddress)
  if (mapped?.[1] !== undefined) return mapped[1]
  if (!remoteAddress.includes(':')) return remoteAddress
  const [head = '', tail] = remoteAddress.split('%')[0]?.split('::') ?? []
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  const groups = [...left, ...Array<string>(Math.max(0, zeros)).fill('0'), ...right]
  return `${groups.slice(0, 4).join(':')}::/64`
}
