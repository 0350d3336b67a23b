import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { bytesAnswer, streamAnswer, withHeaders, type Answer } from '../../src/http/answer.ts'
import { sendEarly } from '../../src/http/early-answer.ts'
import { send } from '../../src/http/send.ts'
import { fromUtf8 } from '../../src/util/bytes.ts'
import { parseReply, publish, readToEnd, startServer } from './harness.ts'

type Sender = typeof send

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield fromUtf8(text)
}

/** What a client gets that sends `request`, and what became of sending. */
async function sent(t: TestContext, sender: Sender, answer: Answer, request: string, rest = '') {
  let outcome: unknown
  const server = createServer((incoming: IncomingMessage, response: ServerResponse) => {
    sender(incoming, response, answer).then(
      () => (outcome = 'sent'),
      (error: unknown) => (outcome = error),
    )
  })
  t.after(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.write(request)
  if (rest !== '') {
    const [first] = (await once(socket, 'data')) as [Buffer]
    socket.write(rest)
    return { ...parseReply(Buffer.concat([first, await readToEnd(socket)])), outcome: () => outcome }
  }
  return { ...parseReply(await readToEnd(socket)), outcome: () => outcome }
}

const GET = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
const POST = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf'
const BAD_HEADER = ['X-Bad', 'a\nb']

test('a head that node refuses becomes a 500, and the response ends', async (t) => {
  const bad = [
    bytesAnswer(200, 'text/plain', fromUtf8('x'), BAD_HEADER),
    withHeaders(streamAnswer('text/plain', pieces('x')), BAD_HEADER),
  ]
  for (const sender of [send, sendEarly]) {
    for (const answer of bad) {
      const reply = await sent(t, sender, answer, GET)
      assert.deepEqual(
        [reply.status, reply.text],
        [500, '{"status": "error", "message": "internal server error"}\n'],
      )
      assert.match(String(reply.outcome()), /ERR_INVALID_CHAR|[Ii]nvalid character/)
    }
  }
})

test('an early answer sends a body of pieces whole, while the client still sends', async (t) => {
  const answer = streamAnswer('text/plain', pieces('one ', 'two ', 'three'))
  const reply = await sent(t, sendEarly, answer, POST, 'rest!')
  assert.deepEqual([reply.status, reply.text], [200, 'one two three'])
  assert.equal(reply.headers['connection'], 'close')
  assert.equal(reply.outcome(), 'sent')
})

test('an answer that was kept and cannot be sent leaves no request open, nor an unhandled rejection', async (t) => {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  t.after(() => process.off('unhandledRejection', note))
  const server = await startServer(t)
  await publish(server.node, 'alice', 'a.flist')
  await server.ask('GET', '/alice/a.flist')
  const { writeHead } = (await import('node:http')).ServerResponse.prototype
  let refusals = 1
  t.mock.method(
    (await import('node:http')).ServerResponse.prototype,
    'writeHead',
    function (this: ServerResponse, ...given: Parameters<typeof writeHead>) {
      if (refusals-- > 0) throw new TypeError('Invalid character in header content')
      return writeHead.apply(this, given)
    },
  )
  assert.equal((await server.ask('GET', '/alice/a.flist')).status, 500)
  assert.equal((await server.ask('GET', '/alice/a.flist')).status, 200)
  assert.deepEqual(unhandled, [])
})
