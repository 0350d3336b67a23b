/** A member that asks, hints and sends what it should not: row 14 of the threat model. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeHint, encodeRequest, encodeResponse } from '../../src/format/sync-message.ts'
import type { Channel } from '../../src/net/peer-host.ts'
import { HOUR_MS, SECOND_MS } from '../../src/util/units.ts'
import { saying } from '../doubles/byzantine-peer.ts'
import { CBOR_BOMBS } from '../doubles/cbor-bombs.ts'
import { BesideALiar, HONEST_MS, inR } from './beside-a-liar.ts'

/** The next message; fails when the channel ends without one. */
async function anyMessage(channel: Channel): Promise<Uint8Array> {
  for await (const message of channel.messages()) return message
  throw new Error('no message came')
}

/** Two honest nodes, and a liar that says it has what they have. */
async function quiet(): Promise<BesideALiar> {
  const beside = new BesideALiar()
  beside.liar.answerSync(saying({ ...inR(), hello: (hello) => hello }))
  await beside.start()
  await beside.simulation.run(SECOND_MS)
  return beside
}

describe('a peer that asks (security.md 14)', () => {
  const after = new Uint8Array(0)
  const repositories = (number: number) => encodeRequest('repositories', number, { after })
  const nonsense: Record<string, readonly Uint8Array[]> = {
    'hints without end': Array.from({ length: 20_000 }, () => encodeHint()),
    'answers that nobody asked for': [encodeResponse('objects', 1, { items: [] })],
    'a request of 1 MiB': [Buffer.alloc(1024 * 1024, 0x80)],
    ...Object.fromEntries([...CBOR_BOMBS].map(([what, bytes]) => [what, [bytes]])),
  }
  for (const [what, messages] of Object.entries(nonsense)) {
    it(`${what}: the channel is over, the log says whose`, async () => {
      const beside = await quiet()
      const channel = await beside.liar.say(beside.at(0).key.publicKey, 'sync', messages)
      await assert.rejects(beside.during(anyMessage(channel)), /broke/)
      assert.match(beside.logged.join('\n'), /a peer lies/)
      beside.stop()
    })
  }

  it('nonsense again and again: for an hour it is not heard, and the log does not fill', async () => {
    const beside = await quiet()
    const { publicKey } = beside.at(0).key
    for (let turn = 0; turn < 50; turn++) {
      const channel = await beside.liar.say(publicKey, 'sync', [Buffer.of(0)])
      await assert.rejects(beside.during(anyMessage(channel)), /broke/)
    }
    const honest = await beside.liar.say(publicKey, 'sync', [repositories(1)])
    await assert.rejects(beside.during(anyMessage(honest)), /broke/)
    assert.ok(beside.logged.length <= 2, beside.logged.join('\n'))
    await beside.simulation.run(HOUR_MS)
    assert.ok(await beside.during(anyMessage(await beside.liar.say(publicKey, 'sync', [repositories(1)]))))
    beside.stop()
  })

  it('a thousand requests at once: others are not kept waiting', async () => {
    const beside = await quiet()
    const requests = Array.from({ length: 1000 }, (_, at) => repositories(at))
    await beside.liar.say(beside.at(0).key.publicKey, 'sync', requests)
    beside.write(0, 'a.flist')
    assert.ok((await beside.timeUntil(() => beside.holds(1, 'a.flist'))) < HONEST_MS)
    beside.stop()
  })

  it('hints all the time: it is asked five times a second, no more', async () => {
    const beside = await quiet()
    const channel = await beside.liar.say(beside.at(0).key.publicKey, 'sync', [])
    const before = beside.liar.asked.get('hello') ?? 0
    for (let turn = 0; turn < 500; turn++) {
      await channel.send(encodeHint())
      await beside.simulation.run(20)
    }
    const asked = (beside.liar.asked.get('hello') ?? 0) - before
    assert.ok(asked > 20 && asked <= 60, `${asked} times in 10 s`)
    beside.stop()
  })
})
