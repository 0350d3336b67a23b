/** JSON web tokens of an issuer whose keys are configured (RFC 7519, RFC 8725; hub-api.md 3.3, hub-departures 8). */
import { createPublicKey, verify as verifySignature, type KeyObject } from 'node:crypto'
import { InvalidInputError, UnauthorizedError } from '../errors.ts'
import { isUtf8, toUtf8 } from '../util/bytes.ts'
import { KIB, SECOND_MS } from '../util/units.ts'
import type { Clock } from './hybrid-clock.ts'

/** Longest token that is looked at. Security.md row 8. */
const MAX_JWT_BYTES = 8 * KIB

/** Whom a token names, and the accounts that may be acted as: itself first. */
export interface JwtIdentity {
  readonly username: string
  readonly accounts: readonly string[]
}

interface Algorithm {
  /** As the header names it (RFC 7518 3.4, RFC 8037 3.1). */
  readonly name: string
  readonly digest: string | null
}

/** The key decides how it signs, never the token: one algorithm a key. */
const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  prime256v1: { name: 'ES256', digest: 'sha256' },
  secp384r1: { name: 'ES384', digest: 'sha384' },
  secp521r1: { name: 'ES512', digest: 'sha512' },
  ed25519: { name: 'EdDSA', digest: null },
}

export interface JwtKey {
  readonly key: KeyObject
  readonly algorithm: Algorithm
}

export interface JwtOptions {
  readonly keys: readonly JwtKey[]
  /** Takes tokens that never end. */
  readonly allowNoExpiry?: boolean
  readonly clock: Clock
}

type Claims = Readonly<Record<string, unknown>>

export class JwtVerifier {
  readonly #keys: readonly JwtKey[]
  readonly #allowNoExpiry: boolean
  readonly #clock: Clock

  constructor({ keys, allowNoExpiry = false, clock }: JwtOptions) {
    this.#keys = keys
    this.#allowNoExpiry = allowNoExpiry
    this.#clock = clock
  }

  /** @throws {UnauthorizedError} `invalid token`, whatever is wrong with it. */
  verify(token: string): JwtIdentity {
    const claims = this.#signedClaims(token)
    const identity = claims !== undefined && this.#isTimely(claims) ? identityOf(claims) : undefined
    if (identity === undefined) throw new UnauthorizedError('invalid token')
    return identity
  }

  /** What one of our keys signed. Of the header only the algorithm is read: no `kid`, `jku` or `jwk` leads anywhere. */
  #signedClaims(token: string): Claims | undefined {
    if (token.length > MAX_JWT_BYTES) return undefined
    const [header = '', payload = '', signature = '', ...more] = token.split('.')
    const bytes = decodeBase64Url(signature)
    const { alg, crit } = parsePart(header) ?? {}
    if (more.length > 0 || bytes === undefined || crit !== undefined) return undefined
    const signed = Buffer.from(`${header}.${payload}`, 'latin1')
    const isSigned = this.#keys.some((key) => key.algorithm.name === alg && isSignedBy(key, signed, bytes))
    return isSigned ? parsePart(payload) : undefined
  }

  /** The clock is the issuer's, no leeway. A token for an audience is for somebody else: we are none. */
  #isTimely({ exp, nbf, iat, aud }: Claims): boolean {
    const nowS = this.#clock() / SECOND_MS
    if (aud !== undefined || ![exp, nbf, iat].every(isTimeOrMissing)) return false
    if (exp === undefined ? !this.#allowNoExpiry : Number(exp) <= nowS) return false
    return nbf === undefined || Number(nbf) <= nowS
  }
}

/**
 * The public keys of a PEM text.
 * @throws {InvalidInputError} without one, for a private one, and for a kind that signs no token here.
 */
export function parseJwtKeys(pem: string): JwtKey[] {
  if (pem.includes('PRIVATE KEY'))
    throw new InvalidInputError('holds a private key: only the public one belongs here')
  const blocks = pem.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g) ?? []
  if (blocks.length === 0) throw new InvalidInputError('holds no public key in PEM')
  return blocks.map(parseJwtKey)
}

function parseJwtKey(pem: string): JwtKey {
  let key: KeyObject
  try {
    key = createPublicKey(pem)
  } catch (cause) {
    throw new InvalidInputError('holds a public key that cannot be read', { cause })
  }
  const kind = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? ''
  const algorithm = Object.hasOwn(ALGORITHMS, kind) ? ALGORITHMS[kind] : undefined
  if (algorithm === undefined)
    throw new InvalidInputError(`holds a key of the kind ${kind}: expected P-256, P-384, P-521 or Ed25519`)
  return { key, algorithm }
}

function isSignedBy({ key, algorithm }: JwtKey, signed: Buffer, signature: Uint8Array): boolean {
  try {
    return verifySignature(algorithm.digest, signed, { key, dsaEncoding: 'ieee-p1363' }, signature)
  } catch {
    return false
  }
}

/** The account of a scope is its third field, whatever the first two are (hub-api.md 3.3). */
function identityOf({ username, scope, sub, jti, iss }: Claims): JwtIdentity | undefined {
  if (typeof username !== 'string' || username === '') return undefined
  if (![sub, jti, iss].every((one) => one === undefined || typeof one === 'string')) return undefined
  if (typeof scope === 'string') return { username, accounts: [username] }
  if (!Array.isArray(scope) || !scope.every((one) => typeof one === 'string')) return undefined
  const accounts = scope.flatMap((one) => one.split(':')[2] ?? [])
  return { username, accounts: [username, ...accounts] }
}

function parsePart(part: string): Claims | undefined {
  const bytes = decodeBase64Url(part)
  if (bytes === undefined || !isUtf8(bytes)) return undefined
  try {
    const value: unknown = JSON.parse(toUtf8(bytes))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Claims)
      : undefined
  } catch {
    return undefined
  }
}

/** One spelling a value: without padding, whitespace or stray bits. */
function decodeBase64Url(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return text !== '' && bytes.toString('base64url') === text ? bytes : undefined
}

function isTimeOrMissing(value: unknown): boolean {
  return value === undefined || (typeof value === 'number' && Number.isSafeInteger(value))
}
