import { createHash } from 'node:crypto'
import { MalformedError } from '../errors.ts'
import { SIGNATURE_BYTES, verifySignature } from '../format/ed25519.ts'
import type { SigningKey } from '../format/ed25519.ts'
import { asBuffer, concat, fromUtf8, isUtf8, toUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'

/**
 * The token of the original hub (hub-api.md 3.2): URL-safe base64 of `signature (64) || payload`, the payload JSON
 * `["user", issued]` in unix seconds. Ours may carry a third element: when it expires, 0 = never.
 */
export interface TokenClaims {
  readonly user: string
  /** Unix seconds. */
  readonly issuedS: number
  /** Unix seconds, 0 = never; `undefined` when the token does not say. */
  readonly expiresS: number | undefined
}

/** Longest token that is looked at. Security.md row 8. */
export const MAX_TOKEN_BYTES = 8 * KIB

/** What fits a row. */
const MAX_TIME_S = 2 ** 48 - 1

/** Spaced as Python's JSON is: what the original hub would have made. */
export function encodeToken({ user, issuedS, expiresS }: TokenClaims, key: SigningKey): string {
  const fields = [
    JSON.stringify(user),
    String(issuedS),
    ...(expiresS === undefined ? [] : [String(expiresS)]),
  ]
  const payload = fromUtf8(`[${fields.join(', ')}]`)
  return toText(concat([key.sign(payload), payload]))
}

/** First 16 hex digits of the token's SHA-256. One token has one id, however its base64 is spelled. */
export function tokenId(token: string): string {
  const spelling = toText(Buffer.from(token, 'base64url'))
  return createHash('sha256').update(spelling).digest('hex').slice(0, 16)
}

function toText(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}

/**
 * What a token claims; `undefined` unless this key signed it.
 * @throws {MalformedError} when this key signed what is no JSON.
 */
export function decodeToken(token: string, publicKey: Uint8Array): TokenClaims | undefined {
  if (token.length > MAX_TOKEN_BYTES || !/^[\w+/-]+={0,2}$/.test(token)) return undefined
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.length <= SIGNATURE_BYTES) return undefined
  const payload = bytes.subarray(SIGNATURE_BYTES)
  if (!verifySignature(publicKey, payload, bytes.subarray(0, SIGNATURE_BYTES))) return undefined
  return parseClaims(payload)
}

function parseClaims(payload: Uint8Array): TokenClaims | undefined {
  const claims = parseJson(payload)
  if (!Array.isArray(claims) || claims.length < 2 || claims.length > 3) return undefined
  const [user, issuedS, expiresS] = claims as readonly unknown[]
  if (typeof user !== 'string' || user === '' || !isTime(issuedS)) return undefined
  if (expiresS !== undefined && !isTime(expiresS)) return undefined
  return { user, issuedS, expiresS }
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_TIME_S
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    if (isUtf8(bytes)) return JSON.parse(toUtf8(bytes)) as unknown
  } catch {
    // said below
  }
  throw new MalformedError('token', 'a signed token is no JSON')
}
