/** How a node ends when its operator says so, whatever its peers do meanwhile. Real processes on loopback. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { folders, until, type Folder } from './realm-folder.ts'

/** A host that is there and does not answer. */
function freeze({ process: node }: Folder): void {
  process.kill(node?.pid ?? assert.fail('not running'), 'SIGSTOP')
}

function thaw({ process: node }: Folder): void {
  process.kill(node?.pid ?? assert.fail('not running'), 'SIGCONT')
}

/** It ends by itself: nothing is left that it would wait for. */
async function ends({ process: node }: Folder): Promise<void> {
  assert.equal(await node?.stop(), 0, node?.log())
  assert.doesNotMatch(node?.log() ?? '', /without waiting|cannot close/)
}

async function realmOf(first: Folder, ...others: Folder[]): Promise<void> {
  await first.zhub('realm', 'create', 'farm', '--as', 'first')
  for (const [at, one] of others.entries()) {
    await one.zhub('realm', 'join', await first.zhub('realm', 'invite'), '--as', `other${at}`)
  }
}

describe('a node that is told to stop', () => {
  it('ends while it sends to one that stands still, while it calls one, and when all others are gone', async (context) => {
    const [a, b] = (await folders(context, 2)) as [Folder, Folder]
    // So slow that the transfer is under way as long as this test lasts.
    for (const one of [a, b]) await one.start({ ZHUB_RATE_UP: '64KiB' })
    await realmOf(a, b)
    await a.put('large', randomBytes(6e6).toString('latin1'))
    await until('B fetches it', async () => ((await b.status())?.counts.chunks ?? 0) > 0)
    freeze(b)
    await ends(a)
    await a.start()
    await ends(a)
    thaw(b)
    await ends(b)
  })

  it('ends while it joins: the command is answered, the invite stays, and the next start joins', async (context) => {
    const [a, b] = (await folders(context, 2)) as [Folder, Folder]
    await a.start()
    await b.start()
    await a.zhub('realm', 'create', 'farm', '--as', 'first')
    const invite = await a.zhub('realm', 'invite')
    freeze(a)
    const joining = b.attempt('realm', 'join', invite, '--as', 'second')
    await until('B has the invite', async () => (await b.view())?.joining === true)
    await ends(b)
    const { code, stderr } = await joining
    assert.equal(code, 0, stderr)
    assert.match(stderr, /goes on asking/)
    await b.start()
    thaw(a)
    await until('B joins', async () => (await b.view())?.name === 'farm')
  })

  it('ends while it leaves: it has left, with what it holds', async (context) => {
    const [a, b] = (await folders(context, 2)) as [Folder, Folder]
    await a.start()
    await b.start()
    await realmOf(a, b)
    await b.put('mine', 'b')
    await until('they are connected', () => b.hasPeers())
    const leaving = b.attempt('realm', 'leave', '--yes')
    await until(
      'A knows',
      async () => (await a.view())?.members.some(({ state }) => state === 'left') === true,
    )
    await ends(b)
    const { code, stderr } = await leaving
    assert.equal(code, 5, stderr)
    assert.match(stderr, /at its next start/)
    await b.start()
    assert.equal((await b.view())?.name, '')
    assert.deepEqual(await b.list(), ['mine.flist'])
  })

  it('ends at once when it is told twice, though an upload goes on', async (context) => {
    const [a] = (await folders(context, 1)) as [Folder]
    const { http, token, pid } = await a.start()
    const { hostname, port } = new URL(http)
    const socket = connect(Number(port), hostname)
    context.after(() => socket.destroy())
    socket.on('error', () => {})
    socket.write(
      `POST /api/flist/me/upload HTTP/1.1\r\nHost: x\r\nAuthorization: bearer ${token}\r\nExpect: 100-continue\r\n` +
        'Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n',
    )
    await once(socket, 'data')
    process.kill(pid, 'SIGTERM')
    await until('it takes no requests any more', async () => {
      const answered = await fetch(`${http}/api/v1/status`).then(
        ({ status }) => status === 200,
        () => false,
      )
      return !answered
    })
    assert.equal(await a.process?.stop(), 130)
  })
})
