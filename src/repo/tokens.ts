import { createHash } from 'node:crypto'
import { UnauthorizedError } from '../errors.ts'
import { signingKey } from '../format/ed25519.ts'
import type { SigningKey } from '../format/ed25519.ts'
import type { Row, RowStore } from '../store/row-store.ts'
import { concat, fromHex, fromUtf8, toHex, toUtf8 } from '../util/bytes.ts'
import { Mutex } from '../util/mutex.ts'
import { DAY_MS, SECOND_MS } from '../util/units.ts'
import { MAX_AHEAD_MS } from './hybrid-clock.ts'
import type { Clock } from './hybrid-clock.ts'
import { ADMINISTRATOR, parseRepositoryName } from './names.ts'
import { readPrivateFile, replacePrivateFile } from './private-file.ts'
import { RowReader, RowWriter } from './row-codec.ts'
import { SPACES } from './rows.ts'
import { decodeToken, encodeToken, tokenId } from './token-format.ts'
import type { TokenClaims } from './token-format.ts'

/** What is known of a token that was made here; never the token. */
export interface TokenInfo {
  /** First 16 hex digits of the token's SHA-256. */
  readonly id: string
  readonly user: string
  /** Unix seconds. */
  readonly createdS: number
  /** Unix seconds; `undefined` = never. */
  readonly expiresS: number | undefined
  readonly revoked: boolean
}

export interface IssuedToken extends TokenInfo {
  readonly token: string
}

/** What a token that is good proves. */
export interface VerifiedToken {
  readonly user: string
  readonly issuedS: number
  readonly expiresS: number | undefined
}

export interface TokensDeps {
  readonly rows: RowStore
  readonly clock: Clock
}

export interface TokensOptions {
  /** Ed25519 seed, 32 bytes. */
  readonly seed: Uint8Array
  /** The node made the seed itself; else the operator gave one, and others may sign with it too. */
  readonly isOwnSeed: boolean
  /** Life of a token that does not say, seconds, 0 = for ever. Default: 30 days with an own seed, else for ever. */
  readonly ttlS?: number
}

const DEFAULT_TTL_S = (30 * DAY_MS) / SECOND_MS

// Rows of the space `token`: 'i' id → IdRow; 'u' sha256 of user → unix seconds, up to which unlisted tokens are void.
const ID_ROWS = fromUtf8('i')
const USER_ROWS = fromUtf8('u')

/**
 * Makes, checks and revokes tokens (hub-api.md 3.2, hub-departures 9). `Administrator` is nobody's user name: a token
 * for it counts only when this node has made it.
 */
export class Tokens {
  readonly #rows: RowStore
  readonly #clock: Clock
  readonly #key: SigningKey
  readonly #isOwnSeed: boolean
  readonly #ttlS: number
  readonly #turn = new Mutex()

  constructor({ rows, clock }: TokensDeps, { seed, isOwnSeed, ttlS }: TokensOptions) {
    this.#rows = rows
    this.#clock = clock
    this.#key = signingKey(seed)
    this.#isOwnSeed = isOwnSeed
    this.#ttlS = ttlS ?? (isOwnSeed ? DEFAULT_TTL_S : 0)
  }

  /**
   * The user whom a token proves.
   * @throws {UnauthorizedError} `invalid signature`, `token expired` or `token revoked`.
   */
  verify(token: string): string {
    return this.read(token).user
  }

  /** As `verify`, with the token's times. */
  read(token: string): VerifiedToken {
    const claims = decodeToken(token, this.#key.publicKey)
    if (claims === undefined) throw new UnauthorizedError('invalid signature')
    const listed = this.#find(tokenId(token))
    if (claims.user === ADMINISTRATOR && listed === undefined)
      throw new UnauthorizedError('invalid signature')
    if (listed?.revoked ?? this.#isVoid(claims)) throw new UnauthorizedError('token revoked')
    const expiresS = this.#expiry(claims)
    if (this.#isEarly(claims) || (expiresS !== undefined && expiresS <= this.#nowS()))
      throw new UnauthorizedError('token expired')
    return { user: claims.user, issuedS: claims.issuedS, expiresS }
  }

  /**
   * Durable when it resolves. `ttlS` 0 = for ever; without it, what this node is set to.
   * @throws {InvalidInputError} for a user whose name cannot be a repository's.
   */
  async issue(user: string, ttlS?: number): Promise<IssuedToken> {
    parseRepositoryName(user)
    return this.#turn.run(() => this.#issue(user, ttlS))
  }

  /** A second token of the same second would be the same token; it is dated back until it is not. */
  async #issue(user: string, ttlS: number | undefined): Promise<IssuedToken> {
    for (let issuedS = this.#nowS(); ; issuedS--) {
      const claims = this.#claims(user, issuedS, ttlS)
      const token = encodeToken(claims, this.#key)
      if (this.#find(tokenId(token)) === undefined)
        return { ...(await this.#list(token, claims, false)), token }
    }
  }

  #claims(user: string, issuedS: number, ttlS: number | undefined): TokenClaims {
    const lifeS = ttlS ?? this.#ttlS
    // The short form, which an original hub with the same seed takes too, where it means the same.
    const isShort = lifeS === 0 && this.#ttlS === 0 && !this.#isOwnSeed && user !== ADMINISTRATOR
    const expiresS = isShort ? undefined : lifeS === 0 ? 0 : issuedS + lifeS
    return { user, issuedS, expiresS }
  }

  /** Everything made here, revoked ones too, oldest first. */
  async list(): Promise<TokenInfo[]> {
    const tokens: TokenInfo[] = []
    for await (const row of this.#rows.rows(SPACES.tokens, { gte: ID_ROWS, lt: USER_ROWS })) {
      tokens.push(readInfo(row))
    }
    return tokens.sort((a, b) => a.createdS - b.createdS)
  }

  /**
   * Voids a token, by its id or itself, or all tokens of a user; answers those. Tokens that somebody else signed with
   * the operator's seed have no row: a user's are voided together, and then stand in the answer as one without an id.
   */
  async revoke(idOrUserOrToken: string): Promise<TokenInfo[]> {
    const claims = decodeToken(idOrUserOrToken, this.#key.publicKey)
    if (claims !== undefined) return [await this.#list(idOrUserOrToken, claims, true)]
    const byId = /^[0-9a-f]{16}$/.test(idOrUserOrToken) ? this.#find(idOrUserOrToken) : undefined
    if (byId !== undefined) return this.#void([byId])
    return this.#revokeUser(idOrUserOrToken)
  }

  /**
   * The token in the file at `path` when it is still good; else a new one that never expires, kept there alone with
   * mode 0600. A token that was revoked, dated ahead, or signed with another seed, is replaced.
   */
  async ensureAdminToken(path: string): Promise<{ token: string; isNew: boolean }> {
    const kept = await this.#keptAdminToken(path)
    if (kept !== undefined) return { token: kept, isNew: false }
    const { token } = await this.issue(ADMINISTRATOR, 0)
    await replacePrivateFile(path, fromUtf8(token))
    return { token, isNew: true }
  }

  async #keptAdminToken(path: string): Promise<string | undefined> {
    const bytes = await readPrivateFile(path)
    if (bytes === undefined) return undefined
    const token = toUtf8(bytes).trim()
    const claims = decodeToken(token, this.#key.publicKey)
    if (claims?.user !== ADMINISTRATOR) return undefined
    // An index that was lost forgets the token; the file, which only this user can write, does not.
    const listed = this.#find(tokenId(token)) ?? (await this.#list(token, claims, false))
    return listed.revoked || this.#isEarly(claims) ? undefined : token
  }

  async #revokeUser(user: string): Promise<TokenInfo[]> {
    const listed = (await this.list()).filter((token) => token.user === user && !token.revoked)
    if (this.#isOwnSeed) return this.#void(listed)
    const nowS = this.#nowS()
    const upTo = new RowWriter(1).integer(nowS, 6).end()
    await this.#rows.write([{ type: 'put', space: SPACES.tokens, key: userKey(user), value: upTo }])
    const unlisted = { id: '', user, createdS: nowS, expiresS: undefined, revoked: true }
    return listed.length > 0 ? this.#void(listed) : [unlisted]
  }

  async #void(tokens: readonly TokenInfo[]): Promise<TokenInfo[]> {
    const revoked = tokens.map((token) => ({ ...token, revoked: true }))
    await this.#rows.write(
      revoked.map((token) => ({
        type: 'put',
        space: SPACES.tokens,
        key: idKey(token.id),
        value: encodeInfo(token),
      })),
    )
    return revoked
  }

  /** Gives a token its row. */
  async #list(token: string, claims: TokenClaims, revoked: boolean): Promise<TokenInfo> {
    const { user, issuedS } = claims
    const info = { id: tokenId(token), user, createdS: issuedS, expiresS: this.#expiry(claims), revoked }
    await this.#rows.write([
      { type: 'put', space: SPACES.tokens, key: idKey(info.id), value: encodeInfo(info) },
    ])
    return info
  }

  #find(id: string): TokenInfo | undefined {
    const key = idKey(id)
    const value = this.#rows.get(SPACES.tokens, key)
    return value && readInfo([key, value])
  }

  /** Is this token, which has no row, of a user whose tokens were all revoked since? */
  #isVoid({ user, issuedS }: TokenClaims): boolean {
    const row = this.#rows.get(SPACES.tokens, userKey(user))
    return row !== undefined && issuedS <= new RowReader(row, 'token user', 1).integer(6)
  }

  #expiry({ issuedS, expiresS }: TokenClaims): number | undefined {
    if (expiresS !== undefined) return expiresS === 0 ? undefined : expiresS
    return this.#ttlS === 0 ? undefined : issuedS + this.#ttlS
  }

  /** Issued by a clock that was far ahead of this one. */
  #isEarly({ issuedS }: TokenClaims): boolean {
    return issuedS * SECOND_MS > this.#clock() + MAX_AHEAD_MS
  }

  #nowS(): number {
    return Math.floor(this.#clock() / SECOND_MS)
  }
}

function idKey(id: string): Uint8Array {
  return concat([ID_ROWS, fromHex(id) ?? new Uint8Array(0)])
}

/** By digest: a user's name may be longer than a key. */
function userKey(user: string): Uint8Array {
  return concat([USER_ROWS, createHash('sha256').update(user).digest()])
}

function encodeInfo({ createdS, expiresS, revoked, user }: TokenInfo): Uint8Array {
  return new RowWriter(1)
    .integer(createdS, 6)
    .integer(expiresS ?? 0, 6)
    .integer(Number(revoked), 1)
    .text(user)
    .end()
}

function readInfo([key, value]: Row): TokenInfo {
  const reader = new RowReader(value, 'token', 1)
  const createdS = reader.integer(6)
  const expiresS = reader.integer(6)
  const revoked = reader.integer(1) === 1
  return {
    id: toHex(key.subarray(ID_ROWS.length)),
    user: reader.text(),
    createdS,
    expiresS: expiresS === 0 ? undefined : expiresS,
    revoked,
  }
}
