import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { CorruptError, DiskFullError } from '../../src/errors.ts'
import { blake2b128, blake2b256 } from '../../src/format/blake2b.ts'
import { recordedData } from '../doubles/golden.ts'
import { bulkText, chunkOf, openPort } from '../doubles/resp-port.ts'

const ABSENT = Buffer.alloc(16, 7)

describe('replies of the chunk port', () => {
  it('are those of 0-db for what anybody may ask', async (context) => {
    const { chunks, connect } = await openPort(context)
    const { id, bytes } = chunkOf('some stored bytes', chunks)
    const other = chunkOf('other bytes', chunks)
    const client = await connect()

    assert.equal(await client.askText('PING'), '+PONG\r\n')
    assert.equal(await client.askText('GET', id), bulkText(bytes))
    assert.equal(await client.askText('GET', ABSENT), '$-1\r\n')
    assert.equal(await client.askText('GET', 'short'), '$-1\r\n')
    assert.equal(await client.askText('EXISTS', id), ':1\r\n')
    assert.equal(await client.askText('EXISTS', ABSENT), ':0\r\n')
    assert.equal(await client.askText('CHECK', id), ':1\r\n')
    assert.equal(await client.askText('CHECK', ABSENT), '$-1\r\n')
    assert.equal(await client.askText('LENGTH', id), ':17\r\n')
    assert.equal(await client.askText('LENGTH', ABSENT), '$-1\r\n')
    assert.equal(await client.askText('KEYTIME', id), ':1700000000\r\n')
    assert.equal(
      await client.askText('MGET', id, ABSENT, other.id),
      `*3\r\n${bulkText(bytes)}$-1\r\n${bulkText(other.bytes)}`,
    )
    assert.equal(await client.askText('DBSIZE'), ':2\r\n')
    assert.equal(await client.askText('SELECT', 'default'), '+OK\r\n')
    assert.equal(await client.askText('SELECT', 'default', ''), '+OK\r\n')
    assert.equal(await client.askText('SELECT', 'elsewhere'), '-Namespace not found\r\n')
    assert.equal(await client.askText('NSLIST'), '*1\r\n$7\r\ndefault\r\n')
    assert.match((await client.askText('INFO')) ?? '', /^\$\d+\r\n# server\nserver_name: 0-db/)
    assert.match(
      (await client.askText('NSINFO', 'default')) ?? '',
      /\nentries: 2\n[^]*\ndata_size_bytes: 28\n/,
    )
    assert.equal(await client.askText('NSINFO', 'elsewhere'), '-Namespace not found\r\n')
  })

  it('name what is wrong with a request in the words of 0-db, and go on', async (context) => {
    const { connect } = await openPort(context, { password: 'secret' })
    const client = await connect()
    const long = Buffer.alloc(256, 'k')

    assert.equal(await client.askText('NONSENSE'), '-Command not supported\r\n')
    assert.equal(await client.askText(''), '-This is not a valid command\r\n')
    assert.equal(await client.askText('GET'), '-Unexpected arguments\r\n')
    assert.equal(await client.askText('GET', 'a', 'b'), '-Unexpected arguments\r\n')
    assert.equal(await client.askText('GET', ''), '-Invalid argument\r\n')
    assert.equal(await client.askText('GET', long), '-Invalid key\r\n')
    assert.equal(await client.askText('MGET'), '-Invalid arguments\r\n')
    assert.equal(await client.askText('MGET', 'a', long), '-Invalid key\r\n')
    assert.equal(await client.askText('SET', 'a'), '-Unexpected arguments\r\n')
    assert.equal(await client.askText('SET', long, 'v'), '-Key too large\r\n')
    assert.equal(await client.askText('SET', ABSENT, 'v', '1'), '-Permission denied\r\n')
    assert.equal(await client.askText('SELECT'), '-Invalid argument\r\n')
    assert.equal(await client.askText('SELECT', Buffer.alloc(129)), '-Namespace too long\r\n')
    assert.equal(await client.askText('AUTH'), '-Unexpected arguments\r\n')
    assert.equal(await client.askText('AUTH', ''), '-Invalid argument\r\n')
    assert.equal(await client.askText('AUTH', long), '-Password too long\r\n')
    assert.equal(await client.askText('SCAN', 'no cursor'), '-Invalid key format\r\n')
    assert.equal(await client.askText('NSNEW', 'mine'), '-Permission denied\r\n')
    assert.equal(await client.askText('PING'), '+PONG\r\n')
  })

  it('find commands as 0-db does: any case, by prefix, the first of its table', async (context) => {
    const { chunks, connect, server } = await openPort(context)
    const { id, bytes } = chunkOf('x', chunks)
    const client = await connect()

    assert.equal(await client.askText('g', id), bulkText(bytes))
    assert.equal(await client.askText('Ping'), '+PONG\r\n')
    assert.equal(await client.askText('S', id, 'x'), '-Namespace is in read-only mode\r\n')
    assert.equal(await client.askText('sel', 'default'), '+OK\r\n')
    assert.equal(await client.askText('SC'), await client.askText('SCAN'))
    assert.equal(await client.askText('E', id), ':1\r\n')
    assert.equal(await client.askText('C', id), ':1\r\n')
    assert.equal(await client.askText('DB'), ':1\r\n')
    assert.equal(await client.askText('D', id), '-Command not supported\r\n')
    assert.equal(await client.askText('M', id), '-Permission denied\r\n')
    assert.equal(await client.askText('MG', id), `*1\r\n${bulkText(bytes)}`)
    assert.equal(await client.askText('GETS', id), '-Command not supported\r\n')
    assert.equal(server.counters.commands.get('GET'), 1)
    assert.equal(server.counters.commands.get('unknown'), 1)
  })

  it('of writes: the key, nil when it was there, an error when the key is not the hash', async (context) => {
    const { chunks, connect, server } = await openPort(context, { password: 'secret' })
    const { id, bytes } = chunkOf('to be uploaded')
    const client = await connect()
    assert.equal(await client.askText('SELECT', 'default', 'secret'), '+OK\r\n')

    assert.equal(await client.askText('SET', id, bytes), bulkText(id))
    assert.equal(await client.askText('SET', id, bytes), '$-1\r\n')
    assert.equal(await client.askText('GET', id), bulkText(bytes))
    const wide = Buffer.from(blake2b256(bytes))
    assert.equal(await client.askText('SETX', wide, bytes), bulkText(wide))
    assert.equal(await client.askText('CHECK', wide), ':1\r\n')
    const empty = Buffer.from(blake2b128(new Uint8Array(0)))
    assert.equal(await client.askText('SET', empty, ''), bulkText(empty))

    const wrong = await client.askText('SET', ABSENT, bytes)
    assert.match(wrong ?? '', new RegExp(`^-Invalid key, .*${id.toString('hex')}`))
    assert.match((await client.askText('SET', 'a key', bytes)) ?? '', /^-Invalid key, the 16 or 32 bytes/)
    assert.equal(await client.askText('SET', '', bytes), '-Invalid argument, key needed\r\n')
    assert.equal(chunks.info(ABSENT), undefined)

    chunks.beforeWrite = () => Promise.reject(new DiskFullError('only 12 MiB left'))
    assert.equal(await client.askText('SET', ...pair('more')), '-No space left on this namespace\r\n')
    chunks.beforeWrite = () => Promise.reject(new TypeError('secret inside'))
    assert.equal(await client.askText('SET', ...pair('more')), '-Internal Error\r\n')
    assert.equal(server.counters.errors, 5)
  })

  it('of damaged chunks: an error to GET, 0 to CHECK, and the connection lives', async (context) => {
    const { chunks, connect } = await openPort(context)
    const { id } = chunkOf('soon damaged', chunks)
    chunks.hold(ABSENT, Buffer.from('not what its id says'))
    const client = await connect()
    assert.equal(await client.askText('CHECK', ABSENT), ':0\r\n')
    chunks.onRead = () => {
      throw new CorruptError(id.toString('hex'), 'chunk is damaged on disk')
    }
    assert.equal(await client.askText('GET', id), '-ERR chunk is damaged on disk\r\n')
    assert.equal(await client.askText('CHECK', id), ':0\r\n')
    assert.equal(
      await client.askText('MGET', id, id),
      '*2\r\n-ERR chunk is damaged on disk\r\n-ERR chunk is damaged on disk\r\n',
    )
    assert.equal(await client.askText('PING'), '+PONG\r\n')
  })

  it('of SCAN: pages in order, and after the last 0-db’s error', async (context) => {
    const { chunks, connect } = await openPort(context)
    const held = Array.from({ length: 2500 }, (_, i) => chunkOf(`chunk ${i}`, chunks))
    const client = await connect()
    const seen: string[] = []
    let pages = 0
    for (
      let reply = await client.ask('SCANX');
      ;
      reply = await client.ask('SCANX', Buffer.from(lastOf(seen), 'hex'))
    ) {
      const text = reply?.toString('latin1') ?? ''
      if (text.startsWith('-')) {
        assert.equal(text, '-No more data\r\n')
        break
      }
      pages++
      const entries = [...text.matchAll(/\*3\r\n\$16\r\n([^]{16})\r\n:(\d+)\r\n:1700000000\r\n/g)]
      for (const [, id = ''] of entries) seen.push(Buffer.from(id, 'latin1').toString('hex'))
      const cursor = Buffer.from(lastOf(seen), 'hex').toString('latin1')
      assert.ok(text.startsWith(`*2\r\n$16\r\n${cursor}\r\n*${entries.length}\r\n`))
    }
    assert.equal(pages, 3)
    assert.deepEqual(seen, held.map(({ id }) => id.toString('hex')).sort())
  })

  const wire = recordedData('hub', 'zdb-wire.txt')
  it('replay the recorded conversations of zflist', { skip: wire.skip }, async (context) => {
    // Recorded against a namespace without password, where everybody writes; ours writes after AUTH.
    const { chunks, connect } = await openPort(context, { password: 'secret' })
    const conversations = parseWire(readFileSync(wire.path, 'utf8'))
    assert.equal(conversations.length, 3)
    const known = conversations[0]?.find(({ reply }) => reply.startsWith('$20\r\n'))
    assert.ok(known !== undefined)
    chunks.hold(known.request.subarray(-18, -2), Buffer.from(known.reply.slice(5, -2), 'latin1'))

    let compared = 0
    for (const conversation of conversations) {
      const client = await connect()
      await client.askText('AUTH', 'secret')
      for (const { request, reply } of conversation) {
        client.socket.write(request)
        const answer = await client.replyText()
        if (reply.includes('# server')) assert.match(answer ?? '', /^\$\d+\r\n# server\n/)
        else assert.equal(answer, reply)
        compared++
      }
    }
    assert.equal(compared, 13)
  })
})

function pair(text: string): [Buffer, Buffer] {
  const { id, bytes } = chunkOf(text)
  return [id, bytes]
}

function lastOf(ids: readonly string[]): string {
  return ids.at(-1) ?? ''
}

interface Exchange {
  readonly request: Buffer
  /** latin1 */
  readonly reply: string
}

/** Lines `C> b'…'` and `S< b'…'`, Python's spelling of bytes, in conversations that begin with `# `. */
function parseWire(text: string): Exchange[][] {
  return text
    .split(/^# /m)
    .slice(1)
    .map((part) => {
      const lines = [...part.matchAll(/^([CS])[<>] b(['"])(.*?)\2(?: \.\.\..*)?$/gm)]
      const exchanges: Exchange[] = []
      for (let i = 0; i + 1 < lines.length; i += 2) {
        exchanges.push({
          request: pythonBytes(lines[i]?.[3] ?? ''),
          reply: pythonBytes(lines[i + 1]?.[3] ?? '').toString('latin1'),
        })
      }
      return exchanges
    })
}

function pythonBytes(literal: string): Buffer {
  const escapes: Record<string, string> = { r: '\r', n: '\n', t: '\t', '\\': '\\', "'": "'", '"': '"' }
  const text = literal.replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex?: string, one?: string) =>
    hex === undefined ? (escapes[one ?? ''] ?? '') : String.fromCharCode(parseInt(hex, 16)),
  )
  return Buffer.from(text, 'latin1')
}
