import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { serve, type RunningNode, type ServeContext } from '../../src/cli/serve.ts'

function contextOf(open: () => Promise<RunningNode>, signal: AbortSignal) {
  const errors: string[] = []
  const context: ServeContext = {
    open,
    json: true,
    version: '0',
    signal,
    write: () => {},
    writeError: (text) => void errors.push(text),
  }
  return { context, errors }
}

describe('serve, told to stop while the node opens', () => {
  it('ends with 0 though opening never ends', async (test) => {
    test.mock.timers.enable({ apis: ['setTimeout'] })
    const stopping = new AbortController()
    const { context } = contextOf(() => new Promise<RunningNode>(() => {}), stopping.signal)
    const ended = serve(context)
    stopping.abort()
    test.mock.timers.tick(10_000)
    assert.equal(await ended, 0)
  })

  it('ends with 0 and no complaint when opening fails then', async () => {
    const { context, errors } = contextOf(() => Promise.reject(new Error('cut short')), AbortSignal.abort())
    assert.equal(await serve(context), 0)
    assert.deepEqual(errors, [])
  })

  it('says why when opening fails by itself', async () => {
    const { signal } = new AbortController()
    const { context, errors } = contextOf(() => Promise.reject(new Error('no room')), signal)
    assert.equal(await serve(context), 1)
    assert.deepEqual(errors, ['zhub: cannot start: no room\n'])
  })
})
