import { MalformedError } from '../errors.ts'
import { concat } from '../util/bytes.ts'
import { KIB, MIB } from '../util/units.ts'
import { decodeCbor, encodeCbor } from './dag-cbor.ts'
import type { CborValue } from './dag-cbor.ts'
import { MAX_OBJECT_BYTES } from './descriptor.ts'
import { MAX_STORED } from './effect.ts'
import { PUBLIC_KEY_BYTES } from './ed25519.ts'
import { HASH_BYTES, INCARNATION_BYTES, MAX_OPERATION_BYTES } from './operation.ts'
import { asBytes, asInteger, isArray, RecordReader } from './record.ts'

/**
 * The messages of `/zhub/sync/1.0.0` (SYNC.md): a number of the call, a number of the request, and a body. Who opens a
 * channel asks, the other end answers; `hint` has no answer.
 */

/** Largest message: one object of 1 MiB and what stands around it. */
export const MAX_SYNC_BYTES = MAX_OBJECT_BYTES + 4 * KIB
/** Largest request: 64 hashes and what stands around them. */
export const MAX_REQUEST_BYTES = 4 * KIB
/** Items of a list in one message. */
export const MAX_ITEMS = 4096
/** Operations in one answer, and their bytes. */
export const MAX_OPERATIONS = 1000
export const MAX_OPERATIONS_BYTES = MIB / 2
/** Objects asked for at once. */
export const MAX_OBJECTS = 64
/** Logs in one answer, with as many heads as they may have: 700 KiB. */
export const MAX_LOGS = 1024
/** Operations of one number: one for each branch. */
const MAX_SKIP = 255
/** Branches of a log, as far as anybody tells of them. */
export const MAX_HEADS = 16
const DIGEST_BYTES = 16
const FORMAT = 'sync message'

export interface Hello {
  readonly realm: Uint8Array
  /** Of this run of the node, 16 random bytes: in another run changes have other numbers. */
  readonly database: Uint8Array
  /** Number of its latest change. */
  readonly change: number
  /** Over all governance records; 32 bytes. */
  readonly governance: Uint8Array
  /** Over all repositories and their digests; 16 bytes. */
  readonly state: Uint8Array
  /** Unix milliseconds of its clock, for people. */
  readonly wallMs: number
}

export interface RepositoryDigest {
  readonly repository: Uint8Array
  readonly digest: Uint8Array
}

export interface LogEnd {
  readonly author: Uint8Array
  readonly incarnation: Uint8Array
  readonly sequence: number
  readonly heads: readonly Uint8Array[]
}

/** What is asked and answered, by call. */
export interface SyncCalls {
  hello: { request: Hello; response: Hello }
  /** Repositories changed after a number, oldest change first. `isReset`: the numbers are not those of this database. */
  changes: {
    request: { readonly database: Uint8Array; readonly since: number }
    response: {
      readonly items: readonly RepositoryDigest[]
      readonly next: number
      readonly hasMore: boolean
      readonly isReset: boolean
    }
  }
  /** All repositories in order of id, after one. */
  repositories: {
    request: { readonly after: Uint8Array }
    response: { readonly items: readonly RepositoryDigest[]; readonly hasMore: boolean }
  }
  /** Its logs in order of id, after one. An empty name: there is no such repository. */
  logs: {
    request: { readonly repository: Uint8Array; readonly after: Uint8Array }
    response: { readonly name: string; readonly logs: readonly LogEnd[]; readonly hasMore: boolean }
  }
  /** Of a log in its order, all branches, from a sequence number on; `skip` so many of them. */
  operations: {
    request: { readonly log: Uint8Array; readonly from: number; readonly skip: number }
    response: { readonly items: readonly Uint8Array[]; readonly hasMore: boolean }
  }
  /** Descriptors and chunk-list pages by SHA-256; as many answers as fit, in order, empty bytes for what is not there. */
  objects: {
    request: { readonly ids: readonly Uint8Array[] }
    response: { readonly items: readonly Uint8Array[] }
  }
  /** Hashes of governance records, in order, after one. */
  governance: {
    request: { readonly after: Uint8Array }
    response: { readonly hashes: readonly Uint8Array[]; readonly hasMore: boolean }
  }
  /** Governance records by hash; as `objects`. */
  records: {
    request: { readonly ids: readonly Uint8Array[] }
    response: { readonly items: readonly Uint8Array[] }
  }
}

export type SyncCall = keyof SyncCalls
export type SyncRequest<C extends SyncCall = SyncCall> = SyncCalls[C]['request']
export type SyncResponse<C extends SyncCall = SyncCall> = SyncCalls[C]['response']

export type SyncMessage =
  | { readonly type: 'request'; readonly call: SyncCall; readonly number: number; readonly body: SyncRequest }
  | {
      readonly type: 'response'
      readonly call: SyncCall
      readonly number: number
      readonly body: SyncResponse
    }
  | { readonly type: 'error'; readonly number: number; readonly code: string; readonly retryMs: number }
  /** Something changed at the sender. */
  | { readonly type: 'hint' }

const RESPONSE = 64
const ERROR = 126
const HINT = 127
const MAX_NUMBER = 2 ** 32 - 1

interface Codec<T> {
  encode(value: T): Readonly<Record<string, CborValue>>
  decode(fields: RecordReader): T
}

type Codecs = {
  readonly [C in SyncCall]: {
    readonly request: Codec<SyncRequest<C>>
    readonly response: Codec<SyncResponse<C>>
  }
}

const hello: Codec<Hello> = {
  encode: ({ realm, database, change, governance, state, wallMs }) => ({
    v: 1,
    realm,
    db: database,
    seq: change,
    gov: governance,
    state,
    wall: wallMs,
  }),
  decode: (fields) => {
    fields.version(1)
    return {
      realm: fields.bytes('realm', HASH_BYTES),
      database: fields.bytes('db', DIGEST_BYTES),
      change: fields.integer('seq', 0, MAX_STORED),
      governance: fields.bytes('gov', HASH_BYTES),
      state: fields.bytes('state', DIGEST_BYTES),
      wallMs: fields.integer('wall', 0, MAX_STORED),
    }
  },
}

const after: Codec<{ readonly after: Uint8Array }> = {
  encode: ({ after: id }) => ({ after: id }),
  decode: (fields) => ({ after: fields.bytes('after', 0, HASH_BYTES) }),
}

const ids: Codec<{ readonly ids: readonly Uint8Array[] }> = {
  encode: ({ ids: hashes }) => ({ ids: hashes }),
  decode: (fields) => ({ ids: fields.bytesList('ids', HASH_BYTES, MAX_OBJECTS) }),
}

const objects: Codec<{ readonly items: readonly Uint8Array[] }> = {
  encode: ({ items }) => ({ items }),
  decode: (fields) => ({ items: byteStrings(fields, 'items', MAX_OBJECTS, MAX_OBJECT_BYTES) }),
}

const CODECS: Codecs = {
  hello: { request: hello, response: hello },
  changes: {
    request: {
      encode: ({ database, since }) => ({ db: database, since }),
      decode: (fields) => ({
        database: fields.bytes('db', DIGEST_BYTES),
        since: fields.integer('since', 0, MAX_STORED),
      }),
    },
    response: {
      encode: ({ items, next, hasMore, isReset }) => ({
        items: items.map(encodeDigest),
        next,
        more: hasMore,
        reset: isReset,
      }),
      decode: (fields) => ({
        items: digests(fields),
        next: fields.integer('next', 0, MAX_STORED),
        hasMore: flag(fields, 'more'),
        isReset: flag(fields, 'reset'),
      }),
    },
  },
  repositories: {
    request: after,
    response: {
      encode: ({ items, hasMore }) => ({ items: items.map(encodeDigest), more: hasMore }),
      decode: (fields) => ({ items: digests(fields), hasMore: flag(fields, 'more') }),
    },
  },
  logs: {
    request: {
      encode: ({ repository, after: id }) => ({ repo: repository, after: id }),
      decode: (fields) => ({
        repository: fields.bytes('repo', HASH_BYTES),
        after: fields.bytes('after', 0, HASH_BYTES),
      }),
    },
    response: {
      encode: ({ name, logs, hasMore }) => ({
        name,
        more: hasMore,
        logs: logs.map(({ author, incarnation, sequence, heads }) => [author, incarnation, sequence, heads]),
      }),
      decode: (fields) => ({
        name: fields.text('name', 255),
        logs: fields.array('logs', 0, MAX_LOGS).map((log) => decodeLog(log, fields)),
        hasMore: flag(fields, 'more'),
      }),
    },
  },
  operations: {
    request: {
      encode: ({ log, from, skip }) => ({ log, from, skip }),
      decode: (fields) => ({
        log: fields.bytes('log', HASH_BYTES),
        from: fields.integer('from', 1, MAX_STORED),
        skip: fields.integer('skip', 0, MAX_SKIP),
      }),
    },
    response: {
      encode: ({ items, hasMore }) => ({ items, more: hasMore }),
      decode: (fields) => ({
        items: byteStrings(fields, 'items', MAX_OPERATIONS, MAX_OPERATION_BYTES),
        hasMore: flag(fields, 'more'),
      }),
    },
  },
  objects: { request: ids, response: objects },
  governance: {
    request: after,
    response: {
      encode: ({ hashes, hasMore }) => ({ ids: hashes, more: hasMore }),
      decode: (fields) => ({
        hashes: fields.bytesList('ids', HASH_BYTES, MAX_ITEMS),
        hasMore: flag(fields, 'more'),
      }),
    },
  },
  records: { request: ids, response: objects },
}

const CALLS = Object.keys(CODECS) as SyncCall[]

export function encodeRequest<C extends SyncCall>(call: C, number: number, body: SyncRequest<C>): Uint8Array {
  return encodeCbor([CALLS.indexOf(call), number, codecOf(call).request.encode(body)])
}

export function encodeResponse<C extends SyncCall>(
  call: C,
  number: number,
  body: SyncResponse<C>,
): Uint8Array {
  return encodeCbor([RESPONSE + CALLS.indexOf(call), number, codecOf(call).response.encode(body)])
}

/** `code` is a `HubErrorCode`; a peer's may be any word. */
export function encodeSyncError(number: number, code: string, retryMs: number): Uint8Array {
  return encodeCbor([ERROR, number, { code, retry: retryMs }])
}

export function encodeHint(): Uint8Array {
  return encodeCbor([HINT, 0, {}])
}

/** @throws {MalformedError | LimitError} for anything but the canonical bytes of a message within its limits. */
export function decodeSyncMessage(bytes: Uint8Array, maxBytes = MAX_SYNC_BYTES): SyncMessage {
  const message = decodeCbor(bytes, { format: FORMAT, maxBytes })
  const wrong = () => new MalformedError(FORMAT, 'it is no message of this protocol')
  if (!isArray(message) || message.length !== 3) throw wrong()
  const [code, count, content] = message
  const type = asInteger(code, 0, HINT, wrong)
  const number = asInteger(count, 0, MAX_NUMBER, wrong)
  const fields = new RecordReader(content ?? null, FORMAT)
  const decoded = decodeBody(type, number, fields)
  if (decoded === undefined) throw wrong()
  fields.end()
  return decoded
}

function decodeBody(type: number, number: number, fields: RecordReader): SyncMessage | undefined {
  if (type === HINT) return number === 0 ? { type: 'hint' } : undefined
  if (type === ERROR) {
    return {
      type: 'error',
      number,
      code: fields.text('code', 64),
      retryMs: fields.integer('retry', 0, MAX_STORED),
    }
  }
  const call = CALLS[type % RESPONSE]
  if (call === undefined) return undefined
  const codec = codecOf(call)
  return type < RESPONSE
    ? { type: 'request', call, number, body: codec.request.decode(fields) }
    : { type: 'response', call, number, body: codec.response.decode(fields) }
}

function codecOf<C extends SyncCall>(call: C): Codecs[C] {
  return CODECS[call]
}

function encodeDigest({ repository, digest }: RepositoryDigest): CborValue {
  return concat([repository, digest])
}

function digests(fields: RecordReader): RepositoryDigest[] {
  return fields.bytesList('items', HASH_BYTES + DIGEST_BYTES, MAX_ITEMS).map((item) => ({
    repository: item.subarray(0, HASH_BYTES),
    digest: item.subarray(HASH_BYTES),
  }))
}

function decodeLog(value: CborValue, fields: RecordReader): LogEnd {
  const wrong = () => fields.fail('logs is no list of logs')
  if (!isArray(value) || value.length !== 4) throw wrong()
  const [author, incarnation, sequence, heads] = value
  if (heads === undefined || !isArray(heads) || heads.length < 1 || heads.length > MAX_HEADS) throw wrong()
  return {
    author: asBytes(author, [PUBLIC_KEY_BYTES], wrong),
    incarnation: asBytes(incarnation, [INCARNATION_BYTES], wrong),
    sequence: asInteger(sequence, 1, MAX_STORED, wrong),
    heads: heads.map((head) => asBytes(head, [HASH_BYTES], wrong)),
  }
}

function byteStrings(fields: RecordReader, name: string, maxItems: number, maxBytes: number): Uint8Array[] {
  return fields.array(name, 0, maxItems).map((item) => {
    if (item instanceof Uint8Array && item.length <= maxBytes) return item
    throw fields.fail(`${name} is no list of byte strings`)
  })
}

function flag(fields: RecordReader, name: string): boolean {
  const value = fields.value(name)
  if (typeof value !== 'boolean') throw fields.fail(`${name} is not true or false`)
  return value
}
