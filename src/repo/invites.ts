import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { ForbiddenError, RateLimitedError } from '../errors.ts'
import { SECRET_BYTES } from '../format/invite.ts'
import type { RowChange, RowStore } from '../store/row-store.ts'
import { concat, fromUtf8 } from '../util/bytes.ts'
import { DAY_MS, SECOND_MS } from '../util/units.ts'
import type { Clock } from './hybrid-clock.ts'
import { RowReader, RowWriter } from './row-codec.ts'
import { SPACES } from './rows.ts'

export interface OpenInvite {
  readonly secret: Uint8Array
  /** Unix seconds. */
  readonly expiresS: number
}

interface KeptInvite {
  /** SHA-256 of the secret. */
  readonly hash: Uint8Array
  readonly expiresS: number
}

/** Interfaces.md. */
const LIFE_MS = DAY_MS
const MAX_OPEN = 256
/** Wrong secrets, over all guests, until the next invite or start. */
const MAX_FAILURES = 100

// Row of the space `own`: 'invite/' sha256 of the secret → when it ends.
const PREFIX = fromUtf8('invite/')
const AFTER = fromUtf8('invite0')

/** The invites of this node that nobody has used: only a hash of each secret is kept. */
export class Invites {
  readonly #rows: RowStore
  readonly #clock: Clock
  readonly #open: KeptInvite[]
  #failures = 0

  private constructor(rows: RowStore, clock: Clock, open: readonly KeptInvite[]) {
    this.#rows = rows
    this.#clock = clock
    this.#open = [...open]
  }

  static async open(rows: RowStore, clock: Clock): Promise<Invites> {
    const open: KeptInvite[] = []
    for await (const [key, row] of rows.rows(SPACES.own, { gte: PREFIX, lt: AFTER })) {
      open.push({ hash: key.subarray(PREFIX.length), expiresS: new RowReader(row, 'invite', 1).integer(6) })
    }
    return new Invites(rows, clock, open)
  }

  /** May a guest come? */
  get areOpen(): boolean {
    const nowS = this.#nowS()
    return this.#failures < MAX_FAILURES && this.#open.some(({ expiresS }) => expiresS > nowS)
  }

  /** Durable when it resolves. Those that have ended are forgotten. */
  async create(): Promise<OpenInvite> {
    const nowS = this.#nowS()
    const ended = this.#open.filter(({ expiresS }) => expiresS <= nowS)
    if (this.#open.length - ended.length >= MAX_OPEN) {
      throw new RateLimitedError(`${MAX_OPEN} invites are open: wait until they are used, or a day`, 3600)
    }
    const secret = randomBytes(SECRET_BYTES)
    const invite = { hash: hashOf(secret), expiresS: nowS + LIFE_MS / SECOND_MS }
    await this.#rows.write([
      ...ended.map(({ hash }) => burnt(hash)),
      {
        type: 'put',
        space: SPACES.own,
        key: rowKey(invite.hash),
        value: new RowWriter(1).integer(invite.expiresS, 6).end(),
      },
    ])
    for (const one of ended) this.#forget(one.hash)
    this.#open.push(invite)
    this.#failures = 0
    return { secret, expiresS: invite.expiresS }
  }

  /**
   * Admits with a secret, once: `admit` is given the change that burns it, for the same batch.
   * @throws {ForbiddenError} for a secret that is none, was used, or has ended.
   */
  async use<T>(secret: Uint8Array, admit: (burn: RowChange) => Promise<T>): Promise<T> {
    const hash = hashOf(secret)
    const nowS = this.#nowS()
    const found = this.#open.find((one) => timingSafeEqual(one.hash, hash))
    if (found === undefined || found.expiresS <= nowS || this.#failures >= MAX_FAILURES) {
      this.#failures++
      throw new ForbiddenError('this invite was used, or has ended: ask for another one')
    }
    // Taken out first: two that come at once with one secret are not both admitted.
    this.#forget(hash)
    try {
      return await admit(burnt(hash))
    } catch (error) {
      this.#open.push(found)
      throw error
    }
  }

  #forget(hash: Uint8Array): void {
    const at = this.#open.findIndex((one) => timingSafeEqual(one.hash, hash))
    if (at >= 0) this.#open.splice(at, 1)
  }

  #nowS(): number {
    return Math.floor(this.#clock() / SECOND_MS)
  }
}

function rowKey(hash: Uint8Array): Uint8Array {
  return concat([PREFIX, hash])
}

function burnt(hash: Uint8Array): RowChange {
  return { type: 'delete', space: SPACES.own, key: rowKey(hash) }
}

function hashOf(secret: Uint8Array): Uint8Array {
  return createHash('sha256').update(secret).digest()
}
