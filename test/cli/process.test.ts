/** The program as a process: what only a real stdout can show. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { bytes, json, startFakeNode, type Answerer } from './fake-node.ts'
import { cleanEnvironment, PROGRAM } from '../integration/node-process.ts'

function start(words: readonly string[]) {
  return spawn(process.execPath, [PROGRAM, ...words], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

describe('the program', () => {
  it('ends quietly when its reader has had enough', async () => {
    const node = await startFakeNode({ 'GET /api/v1/file/a/b': bytes(Buffer.alloc(8_000_000)) })
    const child = start(['cat', 'a/b', 'x', '--url', node.url])
    let errors = ''
    child.stderr.on('data', (piece: Buffer) => (errors += piece.toString()))
    child.stdout.once('data', () => child.stdout.destroy())
    const [code] = (await once(child, 'close')) as [number | null]
    await node.close()
    assert.deepEqual([code, errors], [0, ''])
  })

  it('writes everything before it ends, into a pipe too', async () => {
    const names = Array.from({ length: 20_000 }, (_, at) => `repository/name-${at}.flist`)
    const node = await startFakeNode({ 'GET /api/flist': json(names) })
    const child = start(['ls', '--url', node.url])
    let text = ''
    child.stdout.on('data', (piece: Buffer) => (text += piece.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    await node.close()
    assert.equal(code, 0)
    assert.equal(text, names.join('\n') + '\n')
  })

  it('is interrupted with 130, also while nobody reads', async () => {
    let isWaiting: () => void = () => {}
    const waiting = new Promise<void>((resolve) => (isWaiting = resolve))
    const endless: Answerer = (_asked, response) => {
      response.writeHead(200)
      const fill = () => {
        while (response.write(Buffer.alloc(65_536)));
        isWaiting()
        response.once('drain', fill)
      }
      fill()
    }
    const node = await startFakeNode({ 'GET /api/v1/file/a/b': endless })
    const child = start(['cat', 'a/b', 'x', '--url', node.url])
    await waiting
    child.kill('SIGINT')
    const [code] = (await once(child, 'exit')) as [number | null]
    child.stdout.destroy()
    await node.close()
    assert.equal(code, 130)
  })
})
