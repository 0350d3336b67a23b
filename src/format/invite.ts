import { InvalidInputError } from '../errors.ts'
import { asBuffer } from '../util/bytes.ts'
import { decodeCbor, encodeCbor } from './dag-cbor.ts'
import { HASH_BYTES } from './operation.ts'
import { RecordReader } from './record.ts'

/** What a node that wants to join is given: `zhub1:` and the base64url of dag-cbor. Whoever has it may join, once. */
export interface Invite {
  /** Id of the realm. */
  readonly realm: Uint8Array
  /** Multiaddrs of the inviter, each with its `/p2p/…`. */
  readonly addresses: readonly string[]
  /** 32 random bytes. */
  readonly secret: Uint8Array
  /** Unix seconds. */
  readonly expiresS: number
}

export const SECRET_BYTES = 32
export const MAX_INVITE_ADDRESSES = 32
const MAX_ADDRESS_BYTES = 255
const PREFIX = 'zhub1:'
const MAX_BYTES = 12 * 1024

export function formatInvite({ realm, addresses, secret, expiresS }: Invite): string {
  const bytes = encodeCbor({ realm, addrs: addresses, secret, exp: expiresS })
  return PREFIX + asBuffer(bytes).toString('base64url')
}

/** @throws {InvalidInputError} for anything that `formatInvite` did not make. */
export function parseInvite(text: string): Invite {
  try {
    if (!/^zhub1:[\w-]+$/.test(text)) throw new InvalidInputError('it does not begin with zhub1:')
    const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url')
    const fields = new RecordReader(decodeCbor(bytes, { format: 'invite', maxBytes: MAX_BYTES }), 'invite')
    const invite = {
      realm: fields.bytes('realm', HASH_BYTES),
      addresses: fields.texts('addrs', MAX_INVITE_ADDRESSES, MAX_ADDRESS_BYTES),
      secret: fields.bytes('secret', SECRET_BYTES),
      expiresS: fields.integer('exp'),
    }
    fields.end()
    return invite
  } catch (cause) {
    throw new InvalidInputError('that is no invite: copy the whole line that zhub realm invite printed', {
      cause,
    })
  }
}
