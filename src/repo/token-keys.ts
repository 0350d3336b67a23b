import type { SigningKey } from '../format/ed25519.ts'
import { equalBytes } from '../util/bytes.ts'
import { LruCache } from '../util/lru.ts'
import { MIB } from '../util/units.ts'
import type { Governance } from './governance.ts'
import { decodeToken } from './token-format.ts'
import type { TokenClaims } from './token-format.ts'

/** What tokens need of the realm. */
export interface TokenRealm {
  readonly isShared: boolean
  readonly governance: Pick<Governance, 'members' | 'isRevoked'>
  subscribe(listener: () => void): () => void
  /** Voids tokens on every member. Durable here when it resolves. */
  revoke(what: ReadonlyArray<{ readonly token: Uint8Array } | { readonly user: string }>): Promise<void>
}

/** A token that somebody signed who may. */
export interface SignedToken extends TokenClaims {
  /** `operator`: a seed that the operator gave, with which others may sign too; `member`: another node of the realm. */
  readonly by: 'operator' | 'own' | 'member'
}

export interface TokenKeysOptions {
  /** Of this node alone. */
  readonly own: SigningKey
  /** What the operator gave. */
  readonly operator: SigningKey | undefined
}

/** What a cached token takes beside its text. */
const ENTRY_BYTES = 200

/**
 * The keys whose tokens are good here: the node's own, the operator's, those of the members. What was found out about a
 * token is kept until governance changes: a signature takes 70 µs, and every request carries the same few tokens.
 */
export class TokenKeys {
  readonly #own: SigningKey
  readonly #operator: SigningKey | undefined
  readonly #realm: TokenRealm | undefined
  readonly #known = new LruCache<SignedToken | 'nobody'>(MIB)

  constructor({ own, operator }: TokenKeysOptions, realm: TokenRealm | undefined) {
    this.#own = own
    this.#operator = operator
    this.#realm = realm
    realm?.subscribe(() => this.#known.clear())
  }

  /** Signs new tokens: in a realm with others, what all of them know. */
  get issuer(): SigningKey {
    return this.#realm?.isShared === true ? this.#own : (this.#operator ?? this.#own)
  }

  /** @throws {MalformedError} when one of the keys signed what is no JSON. */
  read(token: string): SignedToken | undefined {
    const known = this.#known.get(token)
    if (known !== undefined) return known === 'nobody' ? undefined : known
    const found = this.#find(token)
    this.#known.set(token, found ?? 'nobody', token.length * 2 + ENTRY_BYTES)
    return found
  }

  #find(token: string): SignedToken | undefined {
    for (const [by, key] of this.#keys()) {
      const claims = decodeToken(token, key)
      if (claims !== undefined) return { ...claims, by }
    }
    return undefined
  }

  /** The operator's first: whoever names it as its own makes it no more than it is. */
  *#keys(): Generator<[SignedToken['by'], Uint8Array]> {
    if (this.#operator !== undefined) yield ['operator', this.#operator.publicKey]
    yield ['own', this.#own.publicKey]
    for (const { tokenKey, isCut } of this.#realm?.governance.members ?? []) {
      if (!isCut && !equalBytes(tokenKey, this.#own.publicKey)) yield ['member', tokenKey]
    }
  }
}
