/** Honest nodes beside a member of their realm that lies when it is asked: rows 14, 15 and 19 of the threat model. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeCbor } from '../../src/format/dag-cbor.ts'
import { signOperation } from '../../src/format/operation.ts'
import type { Operation } from '../../src/format/operation.ts'
import { encodeHint, encodeRequest, encodeResponse, encodeSyncError } from '../../src/format/sync-message.ts'
import type { SyncAnswers } from '../../src/sync/sync-server.ts'
import { toHex } from '../../src/util/bytes.ts'
import { MINUTE_MS } from '../../src/util/units.ts'
import {
  fieldsOf,
  logOf,
  operationBy,
  otherFields,
  signedNonsense,
  signFields,
} from '../doubles/byzantine-operations.ts'
import { saying } from '../doubles/byzantine-peer.ts'
import type { ClaimedLog, Reply, SyncQuestion } from '../doubles/byzantine-peer.ts'
import { CBOR_BOMBS } from '../doubles/cbor-bombs.ts'
import { REALM } from '../repo/several-nodes.ts'
import { BesideALiar, byLiar, INCARNATION, inR, LIAR, meet, STRANGER } from './beside-a-liar.ts'
import { keyOf } from './simulated-node.ts'

describe('I1: operations that must not be taken (security.md 15)', () => {
  const valid = signOperation(operationBy(LIAR, REALM), LIAR).bytes
  const [first, second] = logOf(LIAR, REALM, [
    {},
    { effects: [{ name: 'b.flist', type: 'delete', supersedes: [] }] },
  ])
  const signed = (other: Partial<Operation>, key = LIAR) =>
    signOperation(operationBy(key, REALM, other), key).bytes
  const honest = { author: keyOf(1).publicKey }
  const lies: Record<string, ClaimedLog> = {
    'in the name of another node': {
      ...byLiar([signOperation(operationBy(LIAR, REALM, honest), LIAR).bytes]),
      ...honest,
    },
    'of an author who was never admitted': { ...byLiar([signed({}, STRANGER)]), author: STRANGER.publicKey },
    'of another realm': byLiar([signed({ realm: new Uint8Array(32).fill(8) })]),
    'of another repository': byLiar([signed({ repository: 's' })]),
    'of another log': byLiar([signed({ incarnation: new Uint8Array(8) })]),
    'that follows what nobody has': byLiar([signed({ sequence: 2, previous: new Uint8Array(32).fill(4) })]),
    'cut short': byLiar([valid.subarray(0, -1)]),
    'with a byte more': byLiar([Buffer.concat([valid, Buffer.of(0)])]),
    'of which it names the end and has none': byLiar([], [new Uint8Array(32).fill(9)]),
  }
  for (const [what, log] of Object.entries(lies)) {
    it(`${what}: nothing is taken, the liar is known`, async () => {
      const { complaint } = await meet(saying(inR(log)))
      assert.match(String(complaint), /the peer sent|malformed|may not write|another realm|cannot|operation/)
    })
  }
  for (const [field, change] of Object.entries(otherFields(REALM))) {
    it(`with another ${field} than was signed: nothing is taken`, async () => {
      const fields = fieldsOf(valid)
      const altered = encodeCbor({ ...fields, [field]: change(fields) })
      assert.ok((await meet(saying(inR(byLiar([altered]))))).complaint)
    })
  }
  for (const [what, bytes] of signedNonsense(LIAR, REALM)) {
    it(`signed by its author, with ${what}: nothing is taken`, async () => {
      assert.ok((await meet(saying(inR(byLiar([bytes]))))).complaint)
    })
  }

  it('out of place in their log, though their author signed them: none from there on is taken', async () => {
    assert.ok(first && second)
    const fields = fieldsOf(second.bytes)
    const elsewhere = logOf(LIAR, REALM, [{ incarnation: new Uint8Array(8).fill(1) }])[0] ?? assert.fail()
    const wrong = [
      signFields({ ...fields, seq: 3 }, LIAR),
      signFields({ ...fields, seq: 2 ** 47 }, LIAR),
      signFields({ ...fields, prev: elsewhere.hash }, LIAR),
    ]
    for (const bytes of wrong) {
      const beside = new BesideALiar()
      const other = { ...byLiar([elsewhere.bytes]), incarnation: new Uint8Array(8).fill(1) }
      beside.liar.answerSync(saying(inR(other, byLiar([first.bytes, bytes]))))
      await beside.start()
      await beside.simulation.run(MINUTE_MS)
      const state = await beside.state(0)
      assert.ok(!state.includes(toHex(bytes)))
      assert.match(String(beside.complaint), /does not follow/)
      beside.stop()
    }
  })
})

describe('what a peer says of itself (security.md 14, 19)', () => {
  const honest = inR(byLiar([]))
  const unheard = new Uint8Array(32).fill(0xcc)
  const page = { repository: unheard, digest: new Uint8Array(16) }
  const lies: Record<string, Partial<SyncAnswers>> = {
    'a hello of another realm': { hello: (hello) => ({ ...hello, realm: unheard }) },
    'governance without end': {
      hello: (hello) => ({ ...hello, governance: unheard }),
      governance: () => ({ hashes: [unheard], hasMore: true }),
    },
    'governance that it does not have': {
      hello: (hello) => ({ ...hello, governance: unheard }),
      governance: () => ({ hashes: [unheard], hasMore: false }),
    },
    'other governance records than asked for': {
      hello: (hello) => ({ ...hello, governance: unheard }),
      governance: () => ({ hashes: [unheard], hasMore: false }),
      records: () => ({ items: [Buffer.from('a0', 'hex')] }),
    },
    'repositories without end': { repositories: () => ({ items: [page], hasMore: true }) },
    'repositories that it does not have': { repositories: () => ({ items: [page], hasMore: false }) },
    'repositories out of order': {
      repositories: () => ({ items: [page, { ...page, repository: new Uint8Array(32) }], hasMore: false }),
    },
    'a repository without a log': { logs: () => ({ name: 'r', logs: [], hasMore: false }) },
    'a repository of another name': { logs: () => ({ name: 'q', logs: [], hasMore: false }) },
    'logs without end': {
      logs: () => ({
        name: 'r',
        logs: [{ author: LIAR.publicKey, incarnation: INCARNATION, sequence: 1, heads: [unheard] }],
        hasMore: true,
      }),
    },
    'a log that has an end of 2^48 - 1 and nothing else': {
      logs: () => ({
        name: 'r',
        logs: [{ author: LIAR.publicKey, incarnation: INCARNATION, sequence: 2 ** 48 - 1, heads: [unheard] }],
        hasMore: false,
      }),
    },
  }
  for (const [what, lie] of Object.entries(lies)) {
    it(`${what}: the pull ends, honest peers go on`, async () => {
      const { complaint, beside } = await meet(saying({ ...honest, ...lie }))
      assert.ok(complaint)
      const asked = [...beside.liar.asked.values()].reduce((sum, count) => sum + count, 0)
      assert.ok(asked < 500, `it was asked ${asked} times in two minutes`)
    })
  }

  it('operations without end: a page that does not advance ends the pull', async () => {
    const log = logOf(LIAR, REALM, [{}])
    const beside = new BesideALiar()
    const answers = inR(
      byLiar(
        log.map(({ bytes }) => bytes),
        [unheard],
      ),
    )
    beside.liar.answerSync(
      saying({ ...answers, operations: () => ({ items: log.map(({ bytes }) => bytes), hasMore: true }) }),
    )
    await beside.start()
    await beside.simulation.run(2 * MINUTE_MS)
    assert.ok((beside.liar.asked.get('operations') ?? 0) < 200)
    assert.match(String(beside.complaint), /not asked for|not rise|end of a log/)
    beside.stop()
  })
})

describe('answers that are none (security.md 14)', () => {
  const hello = inR().hello
  const lies: Record<string, Reply<SyncQuestion>> = {
    silence: () => [],
    'refusals only': ({ number }) => [encodeSyncError(number, 'HUB_NO', 0)],
    'the answer to another question': ({ number, body }) => [
      encodeResponse('hello', number + 1, hello(body as never) as never),
    ],
    'an answer of another kind': ({ number }) => [encodeResponse('objects', number, { items: [] })],
    'the same answer a hundred times': ({ number, body }) =>
      Array.from({ length: 100 }, () => encodeResponse('hello', number, hello(body as never) as never)),
    'questions for answers': ({ number }) => [
      encodeRequest('repositories', number, { after: new Uint8Array(0) }),
    ],
    hints: () => [encodeHint()],
    'one byte': () => [Buffer.of(0)],
    '1 MiB of zeros': () => [Buffer.alloc(1024 * 1024)],
  }
  for (const [what, bytes] of CBOR_BOMBS) lies[what] = () => [bytes]
  for (const [what, reply] of Object.entries(lies)) {
    it(`${what}: the channel is over, honest peers notice nothing`, async () => {
      assert.ok((await meet(reply)).complaint)
    })
  }
})
