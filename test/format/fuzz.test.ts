/** Everything that comes from peers and clients as bytes, changed at random (replication.md, test harness 6). */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LimitError, MalformedError } from '../../src/errors.ts'
import { decodeChunkMessage, encodeChunkMessage, packBits } from '../../src/format/chunk-message.ts'
import type { ChunkMessage } from '../../src/format/chunk-message.ts'
import { decodeCbor, encodeCbor, linkTo } from '../../src/format/dag-cbor.ts'
import {
  decodeChunkListPage,
  decodeDescriptor,
  encodeChunkListPage,
  encodeDescriptor,
  FLIST_PART_BYTES,
} from '../../src/format/descriptor.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { frameHeader, FrameReader } from '../../src/format/frames.ts'
import { decodeRecord, signRecord } from '../../src/format/governance-record.ts'
import { decodeHead, signHead } from '../../src/format/head-hint.ts'
import { isFlistName, isName, isRepositoryName } from '../../src/format/name-rule.ts'
import { decodeOperation, operationHash, signOperation } from '../../src/format/operation.ts'
import { encodeRequest as encodeRespRequest, RequestParser } from '../../src/format/resp.ts'
import { decodeRoot, signRoot } from '../../src/format/root-document.ts'
import {
  decodeSyncMessage,
  encodeHint,
  encodeRequest,
  encodeResponse,
  encodeSyncError,
} from '../../src/format/sync-message.ts'
import type { SyncCall, SyncMessage } from '../../src/format/sync-message.ts'
import { concat, fromUtf8, toUtf8 } from '../../src/util/bytes.ts'
import { KIB, MIB } from '../../src/util/units.ts'
import { logOf, operationBy, signedNonsense } from '../doubles/byzantine-operations.ts'
import { CBOR_BOMBS } from '../doubles/cbor-bombs.ts'
import { fuzz } from '../doubles/mutation-fuzz.ts'
import type { FuzzTarget } from '../doubles/mutation-fuzz.ts'

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)
const KEY = signingKey(filled(32, 1))
const REALM = filled(32, 4)
const BOMBS = [...CBOR_BOMBS.values()].filter((bytes) => bytes.length < 10 * KIB)

const operations = [
  signOperation(operationBy(KEY, REALM), KEY).bytes,
  ...logOf(KEY, REALM, [
    {},
    { effects: [{ name: 'a.flist', type: 'delete', supersedes: [filled(32, 1), filled(32, 2)] }] },
  ]).map(({ bytes }) => bytes),
]

const hello = {
  realm: REALM,
  database: filled(16, 2),
  change: 3,
  governance: filled(32, 4),
  state: filled(16, 5),
  wallMs: 1_700_000_000_123,
}
const digest = { repository: filled(32, 6), digest: filled(16, 7) }
const log = {
  author: filled(32, 8),
  incarnation: filled(8, 9),
  sequence: 10,
  heads: [filled(32, 11), filled(32, 12)],
}
const syncMessages = [
  encodeRequest('hello', 0, hello),
  encodeResponse('hello', 1, hello),
  encodeResponse('changes', 2, { items: [digest, digest], next: 5, hasMore: true, isReset: false }),
  encodeRequest('logs', 3, { repository: filled(32, 1), after: filled(32, 2) }),
  encodeResponse('logs', 4, { name: 'alice', logs: [log, log], hasMore: false }),
  encodeRequest('operations', 5, { log: filled(32, 1), from: 1, skip: 2 }),
  encodeResponse('operations', 6, { items: operations, hasMore: true }),
  encodeRequest('objects', 7, { ids: [filled(32, 1), filled(32, 2)] }),
  encodeResponse('governance', 8, { hashes: [filled(32, 1)], hasMore: false }),
  encodeSyncError(9, 'HUB_LIMIT', 250),
  encodeHint(),
]

/** A message as it would be sent. */
function encodeSync(message: SyncMessage): Uint8Array {
  if (message.type === 'hint') return encodeHint()
  if (message.type === 'error') return encodeSyncError(message.number, message.code, message.retryMs)
  const { call, number, body } = message
  const again = message.type === 'request' ? encodeRequest : encodeResponse
  return again(call as SyncCall, number, body as never)
}

const chunkMessages: ChunkMessage[] = [
  { type: 'have', number: 1, naming: 'chunk', ids: [filled(16, 1), filled(16, 2)] },
  { type: 'get', number: 2, naming: 'part', ids: [filled(32, 3)] },
  { type: 'held', number: 3, bits: packBits([true, false, true]) },
  { type: 'chunk', number: 4, index: 63, bytes: filled(400, 9) },
  { type: 'chunk', number: 5, index: 0, bytes: undefined },
  { type: 'elsewhere', number: 6, index: 7 },
]
const encodeChunk = (message: ChunkMessage) => concat(encodeChunkMessage(message))

const descriptor = encodeDescriptor({
  v: 1,
  fmt: 'zflist',
  size: FLIST_PART_BYTES + 1,
  sha256: filled(32, 1),
  md5: filled(16, 2),
  parts: [filled(32, 3), filled(32, 4)],
  chunks: [filled(32, 5)],
  nChunks: 2,
  bytes: 900,
  files: 3,
})
const page = encodeChunkListPage(
  [1, 2, 3].map((byte) => [filled(16, byte), 70_000 * byte, filled(32, byte)] as const),
)

const common = { realm: REALM, rootVersion: 1, issuedS: 1_700_000_000 }
const records = [
  signRecord(
    {
      ...common,
      type: 'node.add',
      node: filled(32, 5),
      tokenKey: filled(32, 6),
      roles: ['writer'],
      name: 'one',
      addresses: ['/ip4/10.0.0.1/tcp/9901'],
    },
    KEY,
  ),
  signRecord(
    {
      ...common,
      type: 'node.cut',
      node: filled(32, 5),
      others: 'none',
      ends: [{ log: filled(32, 7), sequence: 3, hash: filled(32, 8) }],
    },
    KEY,
  ),
  signRecord({ ...common, type: 'realm.name', name: 'my farm' }, KEY),
].map(({ bytes }) => bytes)
const role = { keys: [KEY.publicKey], threshold: 1 }
const root = signRoot(
  { version: 1, previous: undefined, roles: { root: role, nodes: role, names: role }, issuedS: 1 },
  [KEY],
).bytes
const head = signHead({ realm: REALM, atMs: 5, change: 7, items: [digest] }, KEY)

const PARSER = { maxArguments: 20, maxArgumentBytes: 100 * KIB }
const MAX_PARSED_BYTES = 20 * 100 * KIB

/** As a port reads it, in two pieces; what it keeps is bounded. */
function parse(bytes: Uint8Array): undefined {
  const parser = new RequestParser(PARSER)
  for (const piece of [bytes.subarray(0, bytes.length >> 1), bytes.subarray(bytes.length >> 1)]) {
    parser.push(piece)
    while (parser.next() !== undefined) assert.ok(parser.bufferedBytes <= MAX_PARSED_BYTES)
    assert.ok(parser.bufferedBytes <= MAX_PARSED_BYTES)
  }
}

/** As a channel reads it, in pieces; what is wrong is refused before it is kept. */
function unframe(bytes: Uint8Array): undefined {
  const reader = new FrameReader(10 * KIB)
  for (let at = 0; at < bytes.length; at += 7)
    for (const message of reader.push(bytes.subarray(at, at + 7)))
      assert.ok(message.length > 0 && message.length <= 10 * KIB)
}

/** Every rule of names, on whatever text the bytes are. */
function name(bytes: Uint8Array): undefined {
  const text = toUtf8(bytes)
  if (!isName(text)) throw new MalformedError('name', 'refused')
  assert.ok(text === text.normalize('NFC') && Buffer.byteLength(text) <= 255 && !/[/\\\0]/.test(text))
  assert.ok(text !== '.' && text !== '..')
  assert.ok(!isRepositoryName(text) || text !== 'api')
  assert.ok(!isFlistName(text) || /\.fl(?:ist)?$/.test(text))
}

const TARGETS: Readonly<Record<string, FuzzTarget>> = {
  frames: {
    seeds: [1, 127, 128, 5000].map((length) => concat([frameHeader(length), filled(length, 3)])),
    read: unframe,
  },
  'dag-cbor': {
    hostile: BOMBS,
    seeds: [
      ...syncMessages,
      encodeCbor({ a: [1, -5, true, null, 'x', filled(9, 1)], link: linkTo(filled(32, 1)) }),
    ],
    read: (bytes) => encodeCbor(decodeCbor(bytes, { format: 'test', maxBytes: MIB })),
  },
  operations: {
    seeds: operations,
    hostile: [...signedNonsense(KEY, REALM).values()].filter((bytes) => bytes.length < 10 * KIB),
    read: (bytes) => {
      const signed = decodeOperation(bytes)
      assert.equal(Buffer.compare(signed.hash, operationHash(bytes)), 0)
      return signed.bytes
    },
  },
  descriptors: { seeds: [descriptor], read: (bytes) => encodeDescriptor(decodeDescriptor(bytes)) },
  'pages of chunk lists': { seeds: [page], read: (bytes) => encodeChunkListPage(decodeChunkListPage(bytes)) },
  'sync messages': {
    seeds: syncMessages,
    hostile: BOMBS,
    read: (bytes) => encodeSync(decodeSyncMessage(bytes)),
  },
  'chunk messages': {
    seeds: chunkMessages.map(encodeChunk),
    hostile: BOMBS,
    read: (bytes) => encodeChunk(decodeChunkMessage(bytes)),
  },
  'governance records': { seeds: records, read: (bytes) => decodeRecord(bytes).bytes },
  'root documents': { seeds: [root], read: (bytes) => decodeRoot(bytes).bytes },
  'head hints': { seeds: [head], read: (bytes) => (decodeHead(bytes), undefined) },
  'requests of the chunk port': {
    seeds: [
      encodeRespRequest(['SET', filled(16, 1), filled(500, 2)]),
      encodeRespRequest(['MGET', 'a', 'b']),
      fromUtf8('*1\r\n$4\r\nPING\r\n'),
    ],
    hostile: [fromUtf8('*99999999\r\n$99999999\r\n')],
    read: parse,
  },
  names: {
    seeds: ['debian.flist', 'custom name+x.flist', 'éü', '__proto__', '%2e%2e'].map(fromUtf8),
    hostile: ['é́', '../x', 'a\u202eb', '.', 'a\0'].map(fromUtf8),
    read: name,
  },
}

describe('bytes of others, changed at random (security.md 11, 14, 15, 22)', () => {
  for (const [what, target] of Object.entries(TARGETS)) {
    it(`${what}: read or refused, soon, and nothing stays`, () => fuzz(target))
  }

  it('small messages that become large are refused by every reader of CBOR', () => {
    const readers = [
      decodeSyncMessage,
      decodeChunkMessage,
      decodeOperation,
      decodeDescriptor,
      decodeRecord,
      decodeRoot,
      decodeHead,
    ]
    for (const read of readers) {
      for (const [what, bytes] of CBOR_BOMBS) {
        const startMs = performance.now()
        assert.throws(
          () => void read(bytes),
          (error) => error instanceof MalformedError || error instanceof LimitError,
          what,
        )
        assert.ok(performance.now() - startMs < 1000, what)
      }
    }
  })
})
