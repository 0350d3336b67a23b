import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeRequest } from '../../src/format/resp.ts'
import { KIB, MIB } from '../../src/util/units.ts'
import { fuzzRuns } from '../doubles/golden.ts'
import { bulkText, chunkOf, openPort } from '../doubles/resp-port.ts'

const PING = encodeRequest(['PING'])

describe('a connection of the chunk port', () => {
  it('answers pipelined requests in order, wherever the stream is cut', async (context) => {
    const { chunks, connect } = await openPort(context, { password: 'secret' })
    const held = chunkOf('held', chunks)
    const added = chunkOf('added')
    const stream = Buffer.concat([
      encodeRequest(['SELECT', 'default', 'secret']),
      encodeRequest(['GET', held.id]),
      encodeRequest(['SET', added.id, added.bytes]),
      encodeRequest(['GET', added.id]),
      encodeRequest(['MGET', held.id, Buffer.alloc(16)]),
      encodeRequest(['SCAN', Buffer.alloc(16, 0xff)]),
      PING,
    ])
    const rest = [
      bulkText(added.bytes),
      `*2\r\n${bulkText(held.bytes)}$-1\r\n`,
      '-No more data\r\n',
      '+PONG\r\n',
    ]
    const expected = (setReply: string) => ['+OK\r\n', bulkText(held.bytes), setReply, ...rest].join('')

    for (let cut = 1; cut <= stream.length; cut++) {
      const client = await connect()
      client.socket.write(stream.subarray(0, cut))
      await new Promise((resolve) => setImmediate(resolve))
      client.socket.write(stream.subarray(cut))
      let text = ''
      for (let i = 0; i < 7; i++) text += (await client.replyText()) ?? ''
      assert.equal(text, expected(cut === 1 ? bulkText(added.id) : '$-1\r\n'), `cut at ${cut}`)
      client.destroy()
    }
  })

  it('answers everything before it closes a half-closed connection', async (context) => {
    const { chunks, connect } = await openPort(context, { maxPipeline: 4 })
    const { id, bytes } = chunkOf(Buffer.alloc(100 * KIB, 'b'), chunks)
    const client = await connect({ allowHalfOpen: true })
    for (let i = 0; i < 50; i++) client.send('GET', id)
    client.socket.end()
    for (let i = 0; i < 50; i++) assert.equal((await client.reply())?.length, bytes.length + 11)
    assert.equal(await client.reply(), undefined)
  })

  it('runs writes of a pipeline side by side, and reads after them', async (context) => {
    const { chunks, connect } = await openPort(context, { password: 'secret' })
    let release = () => {}
    const gate = new Promise<void>((resolve) => (release = resolve))
    const enough = new Promise<void>((resolve) => {
      chunks.beforeWrite = () => {
        if (chunks.writesUnderWay === 16) resolve()
        return gate
      }
    })
    const client = await connect()
    const added = Array.from({ length: 40 }, (_, i) => chunkOf(`chunk ${i}`))
    client.send('SELECT', 'default', 'secret')
    for (const { id, bytes } of added) client.send('SET', id, bytes)
    client.send('MGET', ...added.map(({ id }) => id))
    await enough
    release()

    assert.equal(await client.replyText(), '+OK\r\n')
    for (const { id } of added) assert.equal(await client.replyText(), bulkText(id))
    assert.equal(await client.replyText(), `*40\r\n${added.map(({ bytes }) => bulkText(bytes)).join('')}`)
    assert.equal(chunks.mostWritesUnderWay, 16)
  })

  it('keeps the order of replies when a write fails at once behind one that takes its time', async (context) => {
    const { chunks, connect } = await openPort(context, { password: 'secret' })
    chunks.beforeWrite = () => new Promise((resolve) => setImmediate(resolve))
    const { id, bytes } = chunkOf('slow')
    const client = await connect()
    client.send('AUTH', 'secret')
    client.send('SET', id, bytes)
    client.send('SET', 'no id', bytes)
    client.send('SET', id)
    client.send('PING')
    const replies: string[] = []
    for (let i = 0; i < 5; i++) replies.push((await client.replyText())?.slice(0, 12) ?? '')
    assert.deepEqual(replies, [
      '+OK\r\n',
      bulkText(id).slice(0, 12),
      '-Invalid key',
      '-Unexpected ',
      '+PONG\r\n',
    ])
  })

  it('asks the remote for what is not here, and keeps the order of replies', async (context) => {
    const far = chunkOf('far away')
    const asked: Uint8Array[] = []
    const remote = {
      get: async (id: Uint8Array) => {
        asked.push(id)
        await new Promise((resolve) => setImmediate(resolve))
        if (id[0] === 0xee) throw new Error('peer is gone')
        return far.id.equals(id) ? far.bytes : undefined
      },
    }
    const { chunks, connect, server } = await openPort(context, {}, { remote })
    const near = chunkOf('near', chunks)
    const client = await connect()
    client.send('GET', far.id)
    client.send('GET', near.id)
    client.send('MGET', near.id, far.id, Buffer.alloc(16), near.id)
    client.send('GET', Buffer.alloc(16, 0xee))
    client.send('PING')
    assert.equal(await client.replyText(), bulkText(far.bytes))
    assert.equal(await client.replyText(), bulkText(near.bytes))
    const nearText = bulkText(near.bytes)
    assert.equal(await client.replyText(), `*4\r\n${nearText}${bulkText(far.bytes)}$-1\r\n${nearText}`)
    assert.equal(await client.replyText(), '-Internal Error\r\n')
    assert.equal(await client.replyText(), '+PONG\r\n')
    assert.equal(asked.length, 4)
    assert.equal(server.counters.misses, 1)
  })

  it('answers one client while another floods it', async (context) => {
    const { chunks, connect } = await openPort(context, { maxPipeline: 8 })
    const { id } = chunkOf(Buffer.alloc(64 * KIB), chunks)
    const flooder = await connect()
    const polite = await connect()
    await polite.ask('PING')
    flooder.socket.write(Buffer.concat(Array.from({ length: 1000 }, () => encodeRequest(['GET', id]))))
    while (chunks.reads === 0) await new Promise((resolve) => setImmediate(resolve))
    await polite.ask('PING')
    assert.ok(chunks.reads < 1000, `the flood was answered first: ${chunks.reads}`)
    flooder.destroy()
  })

  it('reads nothing more for a client that does not read', async (context) => {
    const { chunks, connect, server } = await openPort(context, { maxOutputBytes: MIB, idleMs: 60_000 })
    const { id, bytes } = chunkOf(Buffer.alloc(512 * KIB), chunks)
    const client = await connect()
    client.socket.pause()
    client.socket.write(encodeRequest(['MGET', ...Array<Buffer>(200).fill(id)]))
    await settled(() => chunks.reads)
    assert.ok(chunks.reads > 2 && chunks.reads < 100, `${chunks.reads} chunks read for nobody`)
    assert.ok(
      server.bufferedBytes() <= MIB + 2 * bytes.length + 64 * KIB,
      `${server.bufferedBytes()} bytes kept`,
    )

    client.socket.resume()
    assert.equal((await client.reply())?.length, 200 * (bytes.length + 11) + 6)
    assert.equal(chunks.reads, 200)
  })

  it('shares the room for replies among the connections', async (context) => {
    const { chunks, connect, server } = await openPort(context, { maxTotalOutputBytes: MIB })
    const { id, bytes } = chunkOf(Buffer.alloc(64 * KIB), chunks)
    const clients = await Promise.all(Array.from({ length: 16 }, () => connect()))
    for (const client of clients) {
      client.socket.pause()
      client.socket.write(encodeRequest(['MGET', ...Array<Buffer>(1000).fill(id)]))
    }
    await settled(() => chunks.reads)
    assert.ok(server.bufferedBytes() <= 2 * MIB + 16 * bytes.length, `${server.bufferedBytes()} bytes kept`)
  })

  it('never fails, whatever is sent', async (context) => {
    const { chunks, connect, server } = await openPort(context, { password: 'secret' })
    const { id } = chunkOf('held', chunks)
    const words: Uint8Array[] = [
      '*1\r\n',
      '*3\r\n',
      '$3\r\n',
      '$16\r\n',
      'GET\r\n',
      'SET\r\n',
      '\0\r\n',
      '$-1\r\n',
    ]
      .map((word) => Buffer.from(word))
      .concat(
        ['GET', 'SET', 'SCAN', 'MGET', 'AUTH', 'SELECT', 'CHECK', 'INFO'].map((name) =>
          Buffer.from(encodeRequest([name, id])),
        ),
      )
      .concat([
        Buffer.from(encodeRequest(['SELECT', 'default', 'secret'])),
        Buffer.from(encodeRequest(['SET', id, 'held'])),
      ])
    const random = seeded(7)
    for (let run = 0; run < fuzzRuns(60); run++) {
      const client = await connect()
      for (let i = 0; i < 12; i++) client.socket.write(words[random(words.length)] ?? PING)
      client.socket.end()
      await client.closed()
    }
    const client = await connect()
    assert.equal(await client.askText('PING'), '+PONG\r\n')
    assert.equal(server.counters.connections, 1)
    assert.equal(chunks.totals().chunks, 1)
  })
})

describe('limits of the chunk port', () => {
  const refusals: ReadonlyArray<readonly [sent: string, reply: string]> = [
    ['PING\r\n', '-Malformed request, array expected\r\n'],
    ['GET / HTTP/1.1\r\n\r\n', '-Malformed request, array expected\r\n'],
    ['*0\r\n', '-Missing arguments\r\n'],
    ['*1025\r\n', '-Too many arguments\r\n'],
    ['*3\r\n$3\r\nSET\r\n$16\r\n0123456789abcdef\r\n$1048577\r\n', '-Payload too big\r\n'],
    ['*2\r\n$3\r\nGET\r\n$-1\r\n', '-Malformed query string\r\n'],
  ]
  for (const [sent, reply] of refusals) {
    it(`say ${JSON.stringify(reply)} and close`, async (context) => {
      const { connect, server } = await openPort(context)
      const client = await connect()
      client.socket.write(Buffer.concat([PING, Buffer.from(sent), Buffer.alloc(100 * KIB, 'more')]))
      assert.equal(await client.replyText(), '+PONG\r\n')
      assert.equal(await client.replyText(), reply)
      assert.equal(await client.reply(), undefined)
      assert.equal(server.counters.connectionsDropped, 1)
    })
  }

  it('take a value of 1 MiB from who may write, and keep nothing of it from who may not', async (context) => {
    const { connect, server } = await openPort(context, { password: 'secret' })
    const { id, bytes } = chunkOf(Buffer.alloc(MIB, 'm'))
    const client = await connect()
    client.socket.write(encodeRequest(['SET', id, bytes]).subarray(0, MIB))
    client.socket.write('')
    while (server.counters.bytesIn < MIB) await new Promise((resolve) => setImmediate(resolve))
    assert.ok(server.bufferedBytes() < 1 * KIB, `${server.bufferedBytes()} bytes kept of a stranger`)
    client.socket.write(encodeRequest(['SET', id, bytes]).subarray(MIB))
    assert.equal(await client.replyText(), '-Namespace is in read-only mode\r\n')
    assert.equal(await client.askText('AUTH', 'secret'), '+OK\r\n')
    assert.equal(await client.askText('SET', id, bytes), bulkText(id))
  })

  it('turn away connections over their number', async (context) => {
    const { connect, server } = await openPort(context, { maxConnections: 2 })
    const [first, second] = [await connect(), await connect()]
    assert.equal(await first.askText('PING'), '+PONG\r\n')
    assert.equal(await second.askText('PING'), '+PONG\r\n')
    const third = await connect()
    assert.equal(await third.replyText(), '-Too many connections\r\n')
    assert.equal(await third.reply(), undefined)
    assert.equal(server.counters.connectionsRefused, 1)
    first.destroy()
    while (server.counters.connections > 1) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(await (await connect()).askText('PING'), '+PONG\r\n')
  })

  it('close the connection that was silent longest when there is no room', async (context) => {
    let nowMs = 0
    const { connect } = await openPort(context, { maxConnections: 2 }, { clock: () => nowMs })
    const [silent, busy] = [await connect(), await connect()]
    await silent.ask('PING')
    nowMs = 20_000
    await busy.ask('PING')
    const third = await connect()
    assert.equal(await third.askText('PING'), '+PONG\r\n')
    assert.equal(await silent.reply(), undefined)
    assert.equal(await busy.askText('PING'), '+PONG\r\n')
  })

  it('close a connection that is silent', async (context) => {
    const { connect } = await openPort(context, { idleMs: 30 })
    const client = await connect()
    assert.equal(await client.askText('PING'), '+PONG\r\n')
    assert.equal(await client.reply(), undefined)
  })

  it('close a connection whose replies nobody takes', async (context) => {
    const { chunks, connect, server } = await openPort(context, { idleMs: 30, maxOutputBytes: MIB })
    const { id } = chunkOf(Buffer.alloc(512 * KIB), chunks)
    const client = await connect({ allowHalfOpen: true })
    client.socket.pause()
    client.socket.write(encodeRequest(['MGET', ...Array<Buffer>(1000).fill(id)]))
    while (server.counters.connectionsTotal === 0 || server.counters.connections > 0) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(chunks.reads < 1000)
    assert.equal(server.bufferedBytes(), 0)
  })

  it('close a connection whose request does not end', async (context) => {
    let nowMs = 0
    const { connect } = await openPort(context, { idleMs: 60_000 }, { clock: () => nowMs })
    const client = await connect()
    client.socket.write(Buffer.concat([PING, Buffer.from('*2\r\n$3\r\nG')]))
    assert.equal(await client.replyText(), '+PONG\r\n')
    nowMs = 60_001
    client.socket.write('ET')
    assert.equal(await client.replyText(), '-Request too slow\r\n')
    assert.equal(await client.reply(), undefined)
  })
})

describe('stop', () => {
  it('answers writes under way, closes every socket and leaves nothing listening', async (context) => {
    const { chunks, connect, server, port } = await openPort(context, { password: 'secret' })
    const [idle, writer] = [await connect(), await connect()]
    await idle.ask('PING')
    await writer.ask('AUTH', 'secret')
    const started = new Promise<() => void>((resolve) => {
      chunks.beforeWrite = () => new Promise((release) => resolve(release))
    })
    const { id, bytes } = chunkOf('in the last moment')
    writer.send('SET', id, bytes)
    const release = await started
    const stopped = server.stop()
    release()
    assert.equal(await writer.replyText(), bulkText(id))
    assert.equal(await idle.reply(), undefined)
    await stopped
    assert.equal(server.counters.connections, 0)
    assert.deepEqual(server.addresses, [])
    assert.ok(!process.getActiveResourcesInfo().includes('TCPServerWrap'))
    const late = await connect().catch((error: unknown) => error)
    assert.ok(late instanceof Error, `still listening on ${port}`)
  })

  it('does not wait for a client that keeps sending and never reads', async (context) => {
    const { chunks, connect, server } = await openPort(context)
    const { id } = chunkOf(Buffer.alloc(512 * KIB), chunks)
    const client = await connect({ allowHalfOpen: true })
    client.socket.pause()
    client.socket.write(encodeRequest(['MGET', ...Array<Buffer>(1000).fill(id)]))
    await settled(() => chunks.reads)
    await server.stop()
    assert.equal(server.counters.connections, 0)
  })

  it('listens on several addresses, and on none when one cannot be had', async (context) => {
    const two = { host: '127.0.0.1', port: 0 }
    const { server } = await openPort(context, { listen: [two, two] })
    assert.equal(server.addresses.length, 2)
    const taken = server.addresses[0] ?? two
    await assert.rejects(openPort(context, { listen: [two, taken] }), { code: 'EADDRINUSE' })
  })
})

/** Resolves when `count` has not changed for twenty turns of the loop with the sockets idle. */
async function settled(count: () => number): Promise<void> {
  let last = -1
  for (let same = 0; same < 20; same = count() === last ? same + 1 : 0) {
    last = count()
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Numbers below `limit`, the same in every run. */
function seeded(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return (state >> 8) % limit
  }
}
