import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError, LimitError, MalformedError } from '../../src/errors.ts'
import { encodeCbor } from '../../src/format/dag-cbor.ts'
import {
  decodeSyncMessage,
  encodeHint,
  encodeRequest,
  encodeResponse,
  encodeSyncError,
} from '../../src/format/sync-message.ts'
import type { Hello, SyncMessage } from '../../src/format/sync-message.ts'
import { toHex } from '../../src/util/bytes.ts'
import { asText } from '../doubles/as-text.ts'

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)
const hello: Hello = {
  realm: filled(32, 1),
  database: filled(16, 2),
  change: 3,
  governance: filled(32, 4),
  state: filled(16, 5),
  wallMs: 1_700_000_000_123,
}
const digest = { repository: filled(32, 6), digest: filled(16, 7) }
const log = { author: filled(32, 8), incarnation: filled(8, 9), sequence: 10, heads: [filled(32, 11)] }

/** One of each, as `encode` makes it and as it must come back. */
const MESSAGES: ReadonlyArray<readonly [bytes: Uint8Array, message: SyncMessage]> = [
  [encodeRequest('hello', 0, hello), { type: 'request', call: 'hello', number: 0, body: hello }],
  [encodeResponse('hello', 1, hello), { type: 'response', call: 'hello', number: 1, body: hello }],
  ...[
    { items: [digest], next: 5, hasMore: true, isReset: false },
    { items: [], next: 0, hasMore: false, isReset: true },
  ].map(
    (body) =>
      [encodeResponse('changes', 2, body), { type: 'response', call: 'changes', number: 2, body }] as const,
  ),
  [
    encodeRequest('changes', 3, { database: filled(16, 2), since: 9 }),
    { type: 'request', call: 'changes', number: 3, body: { database: filled(16, 2), since: 9 } },
  ],
  ...[new Uint8Array(0), filled(32, 3)].map(
    (after) =>
      [
        encodeRequest('repositories', 4, { after }),
        { type: 'request', call: 'repositories', number: 4, body: { after } },
      ] as const,
  ),
  [
    encodeResponse('logs', 5, { name: 'alice', logs: [log], hasMore: true }),
    { type: 'response', call: 'logs', number: 5, body: { name: 'alice', logs: [log], hasMore: true } },
  ],
  [
    encodeRequest('operations', 6, { log: filled(32, 1), from: 1, skip: 2 }),
    { type: 'request', call: 'operations', number: 6, body: { log: filled(32, 1), from: 1, skip: 2 } },
  ],
  [
    encodeResponse('objects', 7, { items: [filled(5, 1), new Uint8Array(0)] }),
    { type: 'response', call: 'objects', number: 7, body: { items: [filled(5, 1), new Uint8Array(0)] } },
  ],
  [encodeSyncError(8, 'HUB_LIMIT', 250), { type: 'error', number: 8, code: 'HUB_LIMIT', retryMs: 250 }],
  [encodeHint(), { type: 'hint' }],
]

describe('sync messages', () => {
  it('come back as they were', () => {
    for (const [bytes, message] of MESSAGES) assert.equal(asText(decodeSyncMessage(bytes)), asText(message))
  })

  it('have the bytes that SYNC.md says', () => {
    assert.equal(toHex(encodeHint()), '83187f00a0')
    assert.equal(
      toHex(encodeRequest('operations', 6, { log: filled(32, 1), from: 1, skip: 2 })),
      `830406a3636c6f675820${'01'.repeat(32)}6466726f6d0164736b697002`,
    )
  })

  it('are refused when a byte is another, or are another message', () => {
    const pick = fc.nat(MESSAGES.length - 1)
    fc.assert(
      fc.property(pick, fc.nat(), fc.integer({ min: 1, max: 255 }), (which, at, flip) => {
        const [original = new Uint8Array(0)] = MESSAGES[which] ?? []
        const altered = Uint8Array.from(original)
        altered[at % altered.length] = (altered[at % altered.length] ?? 0) ^ flip
        try {
          assert.notEqual(asText(decodeSyncMessage(altered)), asText(decodeSyncMessage(original)))
        } catch (error) {
          if (!(error instanceof HubError)) throw error
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('are refused when they are cut, or are anything at all', () => {
    for (const [bytes] of MESSAGES) {
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(() => decodeSyncMessage(bytes.subarray(0, length)), HubError)
      }
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeSyncMessage(bytes)
        } catch (error) {
          assert.ok(error instanceof HubError)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('have limits for what they list', () => {
    const ids = encodeCbor([5, 1, { ids: Array.from({ length: 65 }, () => filled(32, 1)) }])
    assert.throws(() => decodeSyncMessage(ids), MalformedError)
    const operations = encodeCbor([64 + 4, 1, { items: [filled(16 * 1024 + 1, 0)], more: false }])
    assert.throws(() => decodeSyncMessage(operations), MalformedError)
    const logs = encodeCbor([
      64 + 3,
      1,
      { name: 'a', logs: [[filled(32, 1), filled(8, 1), 1, []]], more: false },
    ])
    assert.throws(() => decodeSyncMessage(logs), MalformedError)
    const skip = encodeCbor([4, 1, { log: filled(32, 1), from: 1, skip: 256 }])
    assert.throws(() => decodeSyncMessage(skip), MalformedError)
    assert.throws(() => decodeSyncMessage(new Uint8Array(2 * 1024 * 1024)), LimitError)
    assert.throws(() => decodeSyncMessage(encodeCbor([60, 1, {}])), MalformedError)
    assert.throws(() => decodeSyncMessage(encodeCbor([127, 1, { more: 1 }])), MalformedError)
  })
})
