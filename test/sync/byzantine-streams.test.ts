/** Real sockets: a member that breaks frames, floods, and does not read. Row 14 of the threat model; I10. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { encodeChunkMessage } from '../../src/format/chunk-message.ts'
import { frameHeader } from '../../src/format/frames.ts'
import { encodeRequest } from '../../src/format/sync-message.ts'
import { CHUNK_PROTOCOL } from '../../src/sync/chunk-fetcher.ts'
import { ChunkServer } from '../../src/sync/chunk-server.ts'
import { SYNC_PROTOCOL } from '../../src/sync/replicator.ts'
import { concat, EMPTY, toHex } from '../../src/util/bytes.ts'
import { systemScheduler } from '../../src/util/scheduler.ts'
import { createLogger, SILENT } from '../../src/util/logger.ts'
import { KIB, MIB } from '../../src/util/units.ts'
import { heldBytes } from '../doubles/collect-garbage.ts'
import { ended, RawPeer, write } from '../doubles/raw-peer.ts'
import { ALICE, flist } from '../repo/a-repository.ts'
import { TestAuthority } from '../repo/several-nodes.ts'
import { openNode, until } from './socket-node.ts'

const LIAR = 66

/** Two honest nodes that are connected, and a liar that is to one of them. */
async function meet(context: TestContext) {
  const authority = new TestAuthority()
  authority.admitted.add(toHex(RawPeer.keyOf(LIAR)))
  const logged: string[] = []
  const log = createLogger({ level: 'warn', format: 'text', write: (line) => void logged.push(line) })
  const a = await openNode(context, 1, authority, log)
  const b = await openNode(context, 2, authority)
  const chunk = Buffer.alloc(512 * KIB, 7)
  const held = { has: () => true, read: () => chunk }
  const server = new ChunkServer({
    scheduler: systemScheduler,
    rateUp: 0,
    host: a.host,
    held,
    log: SILENT,
    isMember: () => true,
  })
  server.start()
  await b.host.connect(a.host.addresses()[0] ?? '')
  const liar = await RawPeer.connect(context, LIAR, a.host)
  let value = 0
  /** What one of them writes is on the other within the time that it takes. */
  const checkHonest = async (): Promise<void> => {
    const name = `n${value++}.flist`
    await a.repositories.apply('r', [{ type: 'put', name, target: flist(value) }], ALICE)
    await until(b.repositories, () => b.repositories.find('r', name) !== undefined)
  }
  await checkHonest()
  return { a, b, liar, logged, checkHonest }
}

const hex = (text: string) => Buffer.from(text, 'hex')
const request = encodeRequest('repositories', 1, { after: EMPTY })
const get = concat(
  encodeChunkMessage({
    type: 'get',
    number: 1,
    naming: 'chunk',
    ids: Array.from({ length: 64 }, (_, at) => new Uint8Array(16).fill(at)),
  }),
)

function framed(message: Uint8Array): Uint8Array {
  return concat([frameHeader(message.length), message])
}

describe('I10: frames and streams of a member that lies (security.md 14)', () => {
  const frames: Record<string, Uint8Array> = {
    'a length of five bytes': hex('ffffffff01'),
    'a length of 2^53': hex('8080808080808010'),
    'a length that never ends': Buffer.alloc(1000, 0xff),
    'a length that is not shortest': hex('8000'),
    'an empty message': hex('00'),
    'a length of 256 MiB': hex('ffffff7f'),
    'a length over the limit of its protocol': frameHeader(2 * MIB),
    'a request of 100 KiB': concat([frameHeader(100 * KIB), Buffer.alloc(100 * KIB, 0x80)]),
  }
  it('whatever is no frame breaks its channel, and nothing else', async (context) => {
    const { liar, logged, checkHonest } = await meet(context)
    for (const [what, bytes] of Object.entries(frames)) {
      for (const protocol of [SYNC_PROTOCOL, CHUNK_PROTOCOL]) {
        if (protocol === CHUNK_PROTOCOL && what === 'a request of 100 KiB') continue
        const stream = await liar.open(protocol)
        const over = ended(stream)
        await write(stream, [bytes])
        await over
      }
    }
    await checkHonest()
    assert.match(logged.join(''), /a peer lies/)
  })

  it('hundreds of streams: so many are heard as a peer may have, and they are given back', async (context) => {
    const { liar, checkHonest } = await meet(context)
    for (const [protocol, most] of [
      [SYNC_PROTOCOL, 2],
      [CHUNK_PROTOCOL, 4],
    ] as const) {
      const answered: Stream[] = []
      for (let batch = 0; batch < 6; batch++) {
        const streams = await Promise.allSettled(Array.from({ length: 25 }, () => liar.open(protocol)))
        for (const one of streams) {
          if (one.status === 'rejected') continue
          const isHeard = firstAnswer(one.value)
          await write(one.value, [framed(protocol === SYNC_PROTOCOL ? request : get)])
          if (await isHeard) answered.push(one.value)
        }
      }
      assert.ok(answered.length >= 1 && answered.length <= most, `${answered.length} streams were heard`)
      for (const stream of answered) stream.abort(new Error('enough'))
    }
    await checkHonest()
    const again = await liar.open(SYNC_PROTOCOL)
    const isHeard = firstAnswer(again)
    await write(again, [framed(request)])
    assert.ok(await isHeard, 'its channels were not given back')
  })

  it('never reading: what waits for it is bounded, and stopping does not wait for it', async (context) => {
    const { a, liar, checkHonest } = await meet(context)
    const before = heldBytes()
    for (let channel = 0; channel < 4; channel++) {
      const stream = await liar.open(CHUNK_PROTOCOL)
      stream.pause()
      // 64 x 512 KiB are asked for with each, twenty times.
      await write(
        stream,
        Array.from({ length: 20 }, () => framed(get)),
      )
    }
    for (let turn = 0; turn < 3; turn++) await checkHonest()
    // Four windows of 4 MiB on either side, which are both in this process, and a chunk each.
    const taken = heldBytes() - before
    assert.ok(taken < 64 * MIB, `${taken} bytes are held`)
    const startMs = performance.now()
    await a.replicator.stop()
    await a.host.stop()
    assert.ok(performance.now() - startMs < 10_000)
  })

  it('a byte at a time: a message takes no more memory than its length', async (context) => {
    const { liar, checkHonest } = await meet(context)
    const length = 30_000
    const stream = await liar.open(CHUNK_PROTOCOL)
    const before = heldBytes()
    await write(stream, [frameHeader(MIB)])
    await write(
      stream,
      Array.from({ length }, () => Buffer.of(7)),
    )
    await checkHonest()
    const taken = heldBytes() - before
    assert.ok(taken < 3 * MIB, `${taken} bytes are held for ${length}`)
  })

  it('connections that never shake hands: members that it calls are reached all the same', async (context) => {
    const { a, b } = await meet(context)
    const { connect } = await import('node:net')
    const port = Number(/tcp\/(\d+)/.exec(a.host.addresses()[0] ?? '')?.[1])
    const sockets = Array.from({ length: 60 }, () => connect(port, '127.0.0.1').on('error', () => {}))
    context.after(() => sockets.forEach((socket) => socket.destroy()))
    await new Promise((resolve) => setTimeout(resolve, 300))
    await a.host.disconnect(b.host.key)
    assert.equal(toHex(await a.host.connect(b.host.addresses()[0] ?? '')), toHex(b.host.key))
  })
})

/** True once an answer comes, which is longer than the names of protocols before it; false when the stream is broken. */
function firstAnswer(stream: Stream): Promise<boolean> {
  return new Promise((resolve) => {
    let bytes = 0
    stream.addEventListener('message', ({ data }) => {
      bytes += data.byteLength
      if (bytes > 60) resolve(true)
    })
    stream.addEventListener('close', () => resolve(false))
    if (stream.status !== 'open') resolve(false)
  })
}
