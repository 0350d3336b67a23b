import { concat, fromUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'
import { decodeCbor, encodeCbor } from './dag-cbor.ts'
import type { CborValue } from './dag-cbor.ts'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verifySignature } from './ed25519.ts'
import type { SigningKey } from './ed25519.ts'
import { MAX_STORED } from './effect.ts'
import { HASH_BYTES } from './operation.ts'
import { RecordReader } from './record.ts'

/**
 * What a node tells the whole realm when it has something new (replication.md 2.9, PROTOCOLS.md). A hint: it changes
 * nothing, it only makes others ask.
 */
export interface HeadHint {
  readonly realm: Uint8Array
  readonly node: Uint8Array
  /** Unix milliseconds, later in each hint of a node. */
  readonly atMs: number
  /** Some of the repositories that changed, with their digests of 16 bytes. */
  readonly items: readonly HeadItem[]
  /** Number of its latest change. */
  readonly change: number
}

export interface HeadItem {
  readonly repository: Uint8Array
  readonly digest: Uint8Array
}

export const MAX_HEAD_BYTES = 4 * KIB
export const MAX_HEAD_ITEMS = 32
const DIGEST_BYTES = 16
const FORMAT = 'head'
const CONTEXT = fromUtf8('zhub-head-1\0')

export function signHead(head: Omit<HeadHint, 'node'>, key: SigningKey): Uint8Array {
  const unsigned = encodeFields({ ...head, node: key.publicKey })
  return encodeCbor({ ...unsigned, sig: key.sign(concat([CONTEXT, encodeCbor(unsigned)])) })
}

/** @throws {MalformedError | LimitError} also when the node that it names did not sign it. */
export function decodeHead(bytes: Uint8Array): HeadHint {
  const fields = new RecordReader(decodeCbor(bytes, { format: FORMAT, maxBytes: MAX_HEAD_BYTES }), FORMAT)
  fields.version(1)
  const head: HeadHint = {
    realm: fields.bytes('realm', HASH_BYTES),
    node: fields.bytes('node', PUBLIC_KEY_BYTES),
    atMs: fields.integer('t', 0, MAX_STORED),
    items: fields.bytesList('items', HASH_BYTES + DIGEST_BYTES, MAX_HEAD_ITEMS).map((item) => ({
      repository: item.subarray(0, HASH_BYTES),
      digest: item.subarray(HASH_BYTES),
    })),
    change: fields.integer('dbSeq', 0, MAX_STORED),
  }
  const signature = fields.bytes('sig', SIGNATURE_BYTES)
  fields.end()
  const message = concat([CONTEXT, encodeCbor(encodeFields(head))])
  if (!verifySignature(head.node, message, signature)) throw fields.fail('its node did not sign it')
  return head
}

function encodeFields({ realm, node, atMs, items, change }: HeadHint): Record<string, CborValue> {
  return {
    v: 1,
    realm,
    node,
    t: atMs,
    items: items.map(({ repository, digest }) => concat([repository, digest])),
    dbSeq: change,
  }
}
