import { createHash } from 'node:crypto'
import { PUBLIC_KEY_BYTES } from '../format/ed25519.ts'
import type { RowStore } from '../store/row-store.ts'
import { Mutex } from '../util/mutex.ts'
import { SECOND_MS } from '../util/units.ts'
import type { Clock } from './hybrid-clock.ts'
import { RowReader, RowWriter } from './row-codec.ts'
import { SPACES } from './rows.ts'

/** The key under which a user signed in by 3Bot for the first time. */
export interface LoginKey {
  readonly user: string
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array
  /** Unix seconds. */
  readonly pinnedS: number
}

/**
 * The keys of those who have signed in, kept for good: with them a node without a network signs its users in, and a
 * login server that names another key later on is not believed. An Administrator forgets a key when a user has a new one.
 */
export class LoginKeys {
  readonly #rows: RowStore
  readonly #clock: Clock
  readonly #turn = new Mutex()

  constructor(rows: RowStore, clock: Clock) {
    this.#rows = rows
    this.#clock = clock
  }

  find(user: string): LoginKey | undefined {
    const row = this.#rows.get(SPACES.logins, keyOf(user))
    return row && readKey(row)
  }

  /** Durable when it resolves. A key that is there stays: answers the one that holds from now on. */
  async pin(user: string, publicKey: Uint8Array): Promise<LoginKey> {
    return this.#turn.run(async () => {
      const known = this.find(user)
      if (known !== undefined) return known
      const key = { user, publicKey, pinnedS: Math.floor(this.#clock() / SECOND_MS) }
      const value = new RowWriter(1).integer(key.pinnedS, 6).bytes(publicKey).text(user).end()
      await this.#rows.write([{ type: 'put', space: SPACES.logins, key: keyOf(user), value }])
      return key
    })
  }

  /** By user's name. */
  async list(): Promise<LoginKey[]> {
    const keys: LoginKey[] = []
    for await (const [, value] of this.#rows.rows(SPACES.logins)) keys.push(readKey(value))
    return keys.sort((a, b) => (a.user < b.user ? -1 : 1))
  }

  /** The user's next sign-in pins anew. False when there was none. */
  async forget(user: string): Promise<boolean> {
    return this.#turn.run(async () => {
      if (this.find(user) === undefined) return false
      await this.#rows.write([{ type: 'delete', space: SPACES.logins, key: keyOf(user) }])
      return true
    })
  }
}

/** By digest: a user's name may be longer than a key. */
function keyOf(user: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(user).digest())
}

function readKey(row: Uint8Array): LoginKey {
  const reader = new RowReader(row, 'login', 1)
  const pinnedS = reader.integer(6)
  const publicKey = Uint8Array.from(reader.bytes(PUBLIC_KEY_BYTES))
  return { user: reader.text(), publicKey, pinnedS }
}
