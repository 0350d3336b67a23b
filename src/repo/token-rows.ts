import { createHash } from 'node:crypto'
import type { Row } from '../store/row-store.ts'
import { concat, EMPTY, fromHex, fromUtf8, toHex } from '../util/bytes.ts'
import { RowReader, RowWriter } from './row-codec.ts'

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

// Rows of the space `token`: 'i' id → IdRow; 'u' sha256 of user → unix seconds, up to which unlisted tokens are void.
export const ID_ROWS = fromUtf8('i')
export const USER_ROWS = fromUtf8('u')

export function idBytes(id: string): Uint8Array {
  return fromHex(id) ?? EMPTY
}

export function idKey(id: string): Uint8Array {
  return concat([ID_ROWS, idBytes(id)])
}

/** By digest: a user's name may be longer than a key. */
export function userKey(user: string): Uint8Array {
  return concat([USER_ROWS, createHash('sha256').update(user).digest()])
}

export function encodeInfo({ createdS, expiresS, revoked, user }: TokenInfo): Uint8Array {
  return new RowWriter(1)
    .integer(createdS, 6)
    .integer(expiresS ?? 0, 6)
    .integer(Number(revoked), 1)
    .text(user)
    .end()
}

export function readInfo([key, value]: Row): TokenInfo {
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
