import { UnauthorizedError, UnavailableError } from '../errors.ts'
import { signingKey } from '../format/ed25519.ts'
import type { RowStore } from '../store/row-store.ts'
import { fromUtf8, toUtf8 } from '../util/bytes.ts'
import { Mutex } from '../util/mutex.ts'
import { DAY_MS, SECOND_MS } from '../util/units.ts'
import { MAX_AHEAD_MS } from './hybrid-clock.ts'
import type { Clock } from './hybrid-clock.ts'
import { ADMINISTRATOR, parseRepositoryName } from './names.ts'
import { readPrivateFile, replacePrivateFile } from './private-file.ts'
import { RowReader, RowWriter } from './row-codec.ts'
import { SPACES } from './rows.ts'
import { encodeToken, tokenId } from './token-format.ts'
import type { TokenClaims } from './token-format.ts'
import { TokenKeys } from './token-keys.ts'
import { encodeInfo, ID_ROWS, idBytes, idKey, readInfo, USER_ROWS, userKey } from './token-rows.ts'
import type { TokenInfo } from './token-rows.ts'
import type { TokenRealm } from './token-keys.ts'

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
  /** Without it this node's own tokens are good, and no others. */
  readonly realm?: TokenRealm
}

export interface TokensOptions {
  /** Ed25519 seed, 32 bytes. */
  readonly seed: Uint8Array
  /** The node made the seed itself; else the operator gave one, and others may sign with it too. */
  readonly isOwnSeed: boolean
  /** The node's own, where the operator gave the other one. */
  readonly ownSeed?: Uint8Array
  /** Life of a token that does not say, seconds, 0 = for ever. Default: 30 days with an own seed, else for ever. */
  readonly ttlS?: number
}

const DEFAULT_TTL_S = (30 * DAY_MS) / SECOND_MS

const DATED_AHEAD_S = MAX_AHEAD_MS / SECOND_MS

/**
 * Makes, checks and revokes tokens (hub-api.md 3.2, hub-departures 9). In a realm a token that one member made is good on
 * all of them, and what one revokes is void on all. `Administrator` is nobody's user name: a token for it counts only
 * when a node made it, this one or a member; with a seed that the operator gave, strangers may sign for users alone.
 */
export class Tokens {
  readonly #rows: RowStore
  readonly #clock: Clock
  readonly #keys: TokenKeys
  readonly #realm: TokenRealm | undefined
  readonly #isOwnSeed: boolean
  readonly #ttlS: number
  readonly #turn = new Mutex()

  constructor({ rows, clock, realm }: TokensDeps, { seed, isOwnSeed, ownSeed, ttlS }: TokensOptions) {
    this.#rows = rows
    this.#clock = clock
    const given = signingKey(seed)
    const own = ownSeed === undefined ? given : signingKey(ownSeed)
    this.#keys = new TokenKeys({ own, operator: isOwnSeed ? undefined : given }, realm)
    this.#realm = realm
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
    const claims = this.#keys.read(token)
    if (claims === undefined) throw new UnauthorizedError('invalid signature')
    const id = tokenId(token)
    const listed = this.#find(id)
    if (claims.user === ADMINISTRATOR && claims.by !== 'member' && listed === undefined)
      throw new UnauthorizedError('invalid signature')
    if ((listed?.revoked ?? this.#isVoid(claims)) || this.#isRevoked(id, claims))
      throw new UnauthorizedError('token revoked')
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

  async #issue(user: string, ttlS: number | undefined): Promise<IssuedToken> {
    for (const issuedS of this.#times(user)) {
      const claims = this.#claims(user, issuedS, ttlS)
      const token = encodeToken(claims, this.#keys.issuer)
      if (this.#find(tokenId(token)) === undefined)
        return { ...(await this.#list(token, claims, false)), token }
    }
    throw new UnavailableError('tokens of this user are void up to a time ahead of this clock')
  }

  /**
   * A second token of the same second would be the same token: it is dated back until it is not, or ahead where all of
   * that time is void.
   */
  *#times(user: string): Generator<number> {
    const nowS = this.#nowS()
    const isFree = (issuedS: number) => !this.#isRevoked('', { user, issuedS })
    for (let issuedS = nowS; issuedS > 0 && isFree(issuedS); issuedS--) yield issuedS
    for (let issuedS = nowS + 1; issuedS < nowS + DATED_AHEAD_S; issuedS++) if (isFree(issuedS)) yield issuedS
  }

  #claims(user: string, issuedS: number, ttlS: number | undefined): TokenClaims {
    const lifeS = ttlS ?? this.#ttlS
    // The short form, which an original hub with the same seed takes too, where it means the same.
    const isForOriginals = !this.#isOwnSeed && this.#realm?.isShared !== true
    const isShort = lifeS === 0 && this.#ttlS === 0 && isForOriginals && user !== ADMINISTRATOR
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
   * Voids a token, by its id or itself, or all tokens of a user; answers those. Tokens that somebody else signed have no
   * row: a user's are voided together, and then stand in the answer as one without an id.
   */
  async revoke(idOrUserOrToken: string): Promise<TokenInfo[]> {
    const claims = this.#keys.read(idOrUserOrToken)
    if (claims !== undefined) {
      await this.#voidEverywhere([{ token: idBytes(tokenId(idOrUserOrToken)) }])
      return [await this.#list(idOrUserOrToken, claims, true)]
    }
    if (!/^[0-9a-f]{16}$/.test(idOrUserOrToken)) return this.#revokeUser(idOrUserOrToken)
    const byId = this.#find(idOrUserOrToken)
    if (byId === undefined && this.#realm?.isShared !== true) return this.#revokeUser(idOrUserOrToken)
    await this.#voidEverywhere([{ token: idBytes(idOrUserOrToken) }])
    if (byId !== undefined) return this.#void([byId])
    return [{ id: idOrUserOrToken, user: '', createdS: 0, expiresS: undefined, revoked: true }]
  }

  /** Tells a realm that this node has come into, or has made its own, what it had revoked before. */
  async shareRevocations(): Promise<void> {
    const nowS = this.#nowS()
    const isDue = ({ id, user, createdS, expiresS, revoked }: TokenInfo) =>
      revoked &&
      (expiresS === undefined || expiresS > nowS) &&
      !this.#isRevoked(id, { user, issuedS: createdS })
    const due = (await this.list()).filter(isDue)
    if (due.length > 0) await this.#voidEverywhere(due.map(({ id }) => ({ token: idBytes(id) })))
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
    const claims = this.#keys.read(token)
    if (claims?.user !== ADMINISTRATOR || claims.by === 'member') return undefined
    // Members would not know it by the operator's seed.
    if (claims.by === 'operator' && this.#realm?.isShared === true) return undefined
    // An index that was lost forgets the token; the file, which only this user can write, does not.
    const listed = this.#find(tokenId(token)) ?? (await this.#list(token, claims, false))
    const isVoid = listed.revoked || this.#isRevoked(tokenId(token), claims)
    return isVoid || this.#isEarly(claims) ? undefined : token
  }

  async #revokeUser(user: string): Promise<TokenInfo[]> {
    const listed = (await this.list()).filter((token) => token.user === user && !token.revoked)
    if (this.#isOwnSeed && this.#realm?.isShared !== true) return this.#void(listed)
    await this.#voidEverywhere([{ user }])
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

  /** Did a member void it? */
  #isRevoked(id: string, { user, issuedS }: Pick<TokenClaims, 'user' | 'issuedS'>): boolean {
    return this.#realm?.governance.isRevoked(idBytes(id), user, issuedS) ?? false
  }

  /** Nothing to tell for a node alone: its rows are enough. */
  async #voidEverywhere(what: Parameters<TokenRealm['revoke']>[0]): Promise<void> {
    if (this.#realm?.isShared === true) await this.#realm.revoke(what)
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
