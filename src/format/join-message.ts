/** The messages of `/zhub/join/1.0.0` (SYNC.md): one request, then pages until one says that it is the last, or an error. */
import { MalformedError } from '../errors.ts'
import { KIB } from '../util/units.ts'
import { decodeCbor, encodeCbor } from './dag-cbor.ts'
import { MAX_OBJECT_BYTES } from './descriptor.ts'
import { PUBLIC_KEY_BYTES } from './ed25519.ts'
import { SECRET_BYTES } from './invite.ts'
import { HASH_BYTES } from './operation.ts'
import { isArray, RecordReader } from './record.ts'

/** Who wants to join; its node key is what the handshake proved. */
export interface JoinRequest {
  readonly realm: Uint8Array
  readonly secret: Uint8Array
  /** Public key of the tokens that it makes. */
  readonly tokenKey: Uint8Array
  readonly name: string
  /** Multiaddrs at which it will be reached. */
  readonly addresses: readonly string[]
}

/** Root documents and records of the realm; or why not. */
export type JoinAnswer =
  | { readonly items: readonly Uint8Array[]; readonly hasMore: boolean }
  | { readonly code: string; readonly message: string }

export const MAX_JOIN_BYTES = MAX_OBJECT_BYTES + 4 * KIB
const MAX_REQUEST_BYTES = 16 * KIB
const MAX_ADDRESSES = 32
const MAX_TEXT_BYTES = 255
const MAX_PAGE_ITEMS = 4096
const FORMAT = 'join message'

export function encodeJoinRequest({ realm, secret, tokenKey, name, addresses }: JoinRequest): Uint8Array {
  return encodeCbor({ v: 1, realm, secret, token: tokenKey, name, addrs: addresses })
}

/** @throws {MalformedError | LimitError} */
export function decodeJoinRequest(bytes: Uint8Array): JoinRequest {
  const fields = new RecordReader(decodeCbor(bytes, { format: FORMAT, maxBytes: MAX_REQUEST_BYTES }), FORMAT)
  fields.version(1)
  const request = {
    realm: fields.bytes('realm', HASH_BYTES),
    secret: fields.bytes('secret', SECRET_BYTES),
    tokenKey: fields.bytes('token', PUBLIC_KEY_BYTES),
    name: fields.text('name', MAX_TEXT_BYTES),
    addresses: fields.texts('addrs', MAX_ADDRESSES, MAX_TEXT_BYTES),
  }
  fields.end()
  return request
}

export function encodeJoinAnswer(answer: JoinAnswer): Uint8Array {
  return 'code' in answer
    ? encodeCbor({ v: 1, code: answer.code, message: answer.message })
    : encodeCbor({ v: 1, items: answer.items, more: answer.hasMore })
}

/** @throws {MalformedError | LimitError} */
export function decodeJoinAnswer(bytes: Uint8Array): JoinAnswer {
  const fields = new RecordReader(decodeCbor(bytes, { format: FORMAT, maxBytes: MAX_JOIN_BYTES }), FORMAT)
  fields.version(1)
  const answer = fields.has('code')
    ? { code: fields.text('code', MAX_TEXT_BYTES), message: fields.text('message', 4 * KIB) }
    : { items: readItems(fields), hasMore: readMore(fields) }
  fields.end()
  return answer
}

function readItems(fields: RecordReader): Uint8Array[] {
  const items = fields.value('items')
  if (!isArray(items) || items.length > MAX_PAGE_ITEMS) throw fields.fail('items is no list of records')
  return items.map((item) => {
    if (!(item instanceof Uint8Array)) throw fields.fail('items is no list of records')
    return item
  })
}

function readMore(fields: RecordReader): boolean {
  const more = fields.value('more')
  if (typeof more !== 'boolean') throw new MalformedError(FORMAT, 'more is neither true nor false')
  return more
}
