import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HotChunks } from '../../src/resp/hot-chunks.ts'
import { guessSource, PasswordGate } from '../../src/resp/password-gate.ts'
import { UseLog } from '../../src/resp/use-log.ts'
import { SILENT, type Logger } from '../../src/util/logger.ts'
import { HOUR_MS, KIB } from '../../src/util/units.ts'
import { bulkText, chunkOf, openPort } from '../doubles/resp-port.ts'

const READ_ONLY = '-Namespace is in read-only mode\r\n'
const DENIED = '-Access denied\r\n'
const OK = '+OK\r\n'

describe('who may write', () => {
  type Step = readonly [args: readonly string[], reply: string]
  const cases: ReadonlyArray<
    readonly [name: string, password: string | undefined, steps: readonly Step[], mayWrite: boolean]
  > = [
    ['nobody on a port without password', undefined, [[['SELECT', 'default', 'any'], OK]], false],
    ['nobody by AUTH on such a port', undefined, [[['AUTH', 'any'], '-Authentication disabled\r\n']], false],
    ['not who does not authenticate', 'secret', [], false],
    ['not who selects without password', 'secret', [[['SELECT', 'default'], OK]], false],
    ['not who selects with an empty one', 'secret', [[['SELECT', 'default', ''], OK]], false],
    ['not who selects with a wrong one', 'secret', [[['SELECT', 'default', 'wrong'], DENIED]], false],
    ['not who gives a prefix of it', 'secret', [[['AUTH', 'secre'], DENIED]], false],
    ['who selects with the password', 'secret', [[['SELECT', 'default', 'secret'], OK]], true],
    ['who authenticates', 'secret', [[['AUTH', 'secret'], OK]], true],
    [
      'who authenticates, then selects without',
      'secret',
      [
        [['AUTH', 'secret'], OK],
        [['SELECT', 'default'], OK],
      ],
      true,
    ],
    [
      'not who selects again without',
      'secret',
      [
        [['SELECT', 'default', 'secret'], OK],
        [['SELECT', 'default'], OK],
      ],
      false,
    ],
    [
      'who was wrong once',
      'secret',
      [
        [['AUTH', 'wrong'], DENIED],
        [['AUTH', 'secret'], OK],
      ],
      true,
    ],
    ['with a password that is not ASCII', 'пароль', [[['AUTH', 'пароль'], OK]], true],
  ]
  for (const [name, password, steps, mayWrite] of cases) {
    it(name, async (context) => {
      const { connect, chunks } = await openPort(context, { password })
      const client = await connect()
      for (const [args, reply] of steps) assert.equal(await client.askText(...args), reply)
      const { id, bytes } = chunkOf('value')
      assert.equal(await client.askText('SET', id, bytes), mayWrite ? bulkText(id) : READ_ONLY)
      assert.equal(chunks.totals().chunks, mayWrite ? 1 : 0)
    })
  }

  it('nobody on a read-only node, though the password is right', async (context) => {
    const { connect } = await openPort(context, { password: 'secret', readonly: true })
    const client = await connect()
    assert.equal(await client.askText('SELECT', 'default', 'secret'), OK)
    const { id, bytes } = chunkOf('value')
    assert.equal(await client.askText('SET', id, bytes), READ_ONLY)
  })

  it('one connection’s AUTH says nothing of another', async (context) => {
    const { connect } = await openPort(context, { password: 'secret' })
    const [writer, reader] = [await connect(), await connect()]
    assert.equal(await writer.askText('AUTH', 'secret'), OK)
    const { id, bytes } = chunkOf('value')
    assert.equal(await reader.askText('SET', id, bytes), READ_ONLY)
  })

  it('a third wrong password closes the connection', async (context) => {
    const { connect, server } = await openPort(context, { password: 'secret' })
    const client = await connect()
    for (let i = 0; i < 3; i++) assert.equal(await client.askText('AUTH', 'wrong'), DENIED)
    assert.equal(await client.reply(), undefined)
    assert.equal(server.counters.authFailures, 3)
  })

  it('a wrong password holds up only who sent it', async (context) => {
    const { connect, chunks } = await openPort(context, { password: 'secret', failedAuthDelayMs: 60_000 })
    const { id, bytes } = chunkOf('held', chunks)
    const [guesser, reader, writer] = [await connect(), await connect(), await connect()]
    guesser.send('AUTH', 'wrong')
    guesser.send('PING')
    assert.equal(await reader.askText('GET', id), bulkText(bytes))
    assert.equal(await writer.askText('AUTH', 'secret'), OK)
    assert.equal(guesser.socket.bytesRead, 0)
  })
})

describe('PasswordGate', () => {
  it('looks at sixteen guesses of an address at a time, and at every one of another', () => {
    const gate = new PasswordGate({ password: 'secret', failureDelayMs: 60_000 })
    const right = Buffer.from('secret')
    for (let i = 0; i < 16; i++) {
      assert.equal(gate.accepts(right, '192.0.2.1'), true)
      void gate.penalty('192.0.2.1')
    }
    assert.equal(gate.accepts(right, '192.0.2.1'), false)
    assert.equal(gate.accepts(right, '192.0.2.2'), true)
  })

  it('looks again once the delay is over', async () => {
    const gate = new PasswordGate({ password: 'secret', failureDelayMs: 1 })
    const keepAlive = setTimeout(() => {}, 10_000)
    await Promise.all(Array.from({ length: 20 }, () => gate.penalty('192.0.2.1')))
    clearTimeout(keepAlive)
    assert.equal(gate.accepts(Buffer.from('secret'), '192.0.2.1'), true)
  })

  it('refuses a password that nobody could send', () => {
    for (const password of ['', 'x'.repeat(256)]) {
      assert.throws(() => new PasswordGate({ password, failureDelayMs: 1 }), { code: 'HUB_INVALID_INPUT' })
    }
  })

  it('counts an IPv6 network as one', () => {
    assert.equal(guessSource('::ffff:192.0.2.7'), '192.0.2.7')
    assert.equal(guessSource('192.0.2.7'), '192.0.2.7')
    assert.equal(guessSource('2001:db8:1:2:3:4:5:6'), guessSource('2001:db8:1:2::9'))
    assert.equal(guessSource('2001:db8::1'), guessSource('2001:db8::2'))
    assert.notEqual(guessSource('2001:db8:1:2::9'), guessSource('2001:db8:1:3::9'))
    assert.equal(guessSource('fe80::1%eth0'), guessSource('fe80::2%eth0'))
    assert.equal(guessSource('::1'), '0:0:0:0::/64')
  })
})

describe('uses of chunks', () => {
  it('are counted for an uploader that finds a chunk here, not for a reader', async (context) => {
    const { connect, chunks, server } = await openPort(context, { password: 'secret' })
    const [seen, checked, asked, read] = ['a', 'b', 'c', 'd'].map((text) => chunkOf(text, chunks).id)
    assert.ok(seen && checked && asked && read)
    const [uploader, reader] = [await connect(), await connect()]
    await uploader.ask('AUTH', 'secret')
    await uploader.ask('GET', seen)
    await uploader.ask('GET', seen)
    await uploader.ask('CHECK', checked)
    await uploader.ask('EXISTS', asked)
    await uploader.ask('EXISTS', Buffer.alloc(16))
    await reader.ask('GET', read)
    await server.stop()
    assert.deepEqual(chunks.touched.map(hex), [seen, checked, asked].map(hex))
  })

  it('are counted once an hour', async () => {
    let nowMs = 0
    const touched: string[] = []
    const uses = new UseLog({ chunks: storing(touched), log: SILENT, clock: () => nowMs })
    const id = Buffer.alloc(16, 1)
    uses.note(id)
    uses.note(id)
    await uses.settle()
    nowMs = HOUR_MS - 1
    uses.note(id)
    await uses.settle()
    assert.equal(touched.length, 1)
    nowMs = HOUR_MS
    uses.note(id)
    await uses.settle()
    assert.equal(touched.length, 2)
  })

  it('are counted again when the store failed', async () => {
    const touched: string[] = []
    let fails = true
    const warnings: string[] = []
    const log: Logger = { ...SILENT, warn: (message) => warnings.push(message) }
    const chunks = {
      touch: async (ids: readonly Uint8Array[]) => {
        if (fails) throw new Error('disk')
        touched.push(...ids.map(hex))
        await Promise.resolve()
      },
    }
    const uses = new UseLog({ chunks, log, clock: () => 0 })
    uses.note(Buffer.alloc(16, 1))
    await uses.settle()
    assert.equal(warnings.length, 1)
    fails = false
    uses.note(Buffer.alloc(16, 1))
    await uses.settle()
    assert.equal(touched.length, 1)
  })
})

describe('hot chunks', () => {
  it('are read from the store once for readers, each time for an uploader, until they are forgotten', async (context) => {
    const { connect, chunks, server } = await openPort(context, { password: 'secret', cacheBytes: 64 * KIB })
    const { id, bytes } = chunkOf('hot', chunks)
    const [reader, uploader] = [await connect(), await connect()]
    await uploader.ask('AUTH', 'secret')
    for (let i = 0; i < 3; i++) assert.equal(await reader.askText('GET', id), bulkText(bytes))
    assert.equal(chunks.reads, 1)
    await uploader.ask('GET', id)
    await reader.ask('CHECK', id)
    assert.equal(chunks.reads, 3)

    await chunks.delete([id])
    assert.equal(await uploader.askText('GET', id), '$-1\r\n')
    server.forget([id])
    assert.equal(await reader.askText('GET', id), '$-1\r\n')
  })

  it('take no more memory than they may', () => {
    const store = { read: (id: Uint8Array) => Buffer.alloc(KIB, id[0]) }
    const hot = new HotChunks(store, 8 * KIB)
    for (let i = 0; i < 100; i++) {
      hot.read(Uint8Array.of(i))
      assert.ok(hot.bytes <= 8 * KIB)
    }
    assert.ok(hot.bytes > 4 * KIB)
  })
})

function storing(touched: string[]) {
  return {
    touch: (ids: readonly Uint8Array[]) => {
      touched.push(...ids.map(hex))
      return Promise.resolve()
    },
  }
}

function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex')
}
