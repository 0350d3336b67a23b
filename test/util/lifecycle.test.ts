import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { every } from '../../src/util/every.ts'
import { Parts } from '../../src/util/lifecycle.ts'
import { LruCache } from '../../src/util/lru.ts'
import { KeyedMutex, Mutex } from '../../src/util/mutex.ts'
import { Semaphore } from '../../src/util/semaphore.ts'
import { share } from '../../src/util/share.ts'

describe('parts', () => {
  it('close in reverse order, each once, whatever fails on the way', async () => {
    const closed: string[] = []
    const parts = new Parts()
    for (const name of ['a', 'b', 'c']) {
      await parts.open(
        name,
        () => name,
        (part) => {
          closed.push(part)
          if (part === 'b') throw new Error('stuck')
        },
      )
    }
    await assert.rejects(parts.close(), AggregateError)
    await assert.rejects(parts.close(), AggregateError)
    assert.deepEqual(closed, ['c', 'b', 'a'])
  })
})

describe('every', () => {
  it('never overlaps itself, reports failures, and has ended when stop resolves', async () => {
    let running = 0
    let runs = 0
    const errors: unknown[] = []
    const third = new Promise<void>((resolve) => {
      const task = every(
        1,
        async () => {
          assert.equal(++running, 1)
          await new Promise(setImmediate)
          running--
          if (++runs === 3) void task.stop().then(resolve)
          if (runs === 2) throw new Error('once')
        },
        (error) => errors.push(error),
      )
    })
    const keepAlive = setInterval(() => {}, 1000)
    await third
    clearInterval(keepAlive)
    assert.equal(running, 0)
    assert.equal(errors.length, 1)
  })
})

describe('every, with a first wait of its own', () => {
  it('runs at once when it is due', async () => {
    const keepAlive = setInterval(() => {}, 1000)
    await new Promise<void>((resolve, reject) => {
      const task = every(1_000_000, async () => void task.stop().then(resolve, reject), reject, 0)
    })
    clearInterval(keepAlive)
  })
})

describe('waiting in line', () => {
  it('a mutex runs one at a time in order, also after a failure', async () => {
    const mutex = new Mutex()
    const order: number[] = []
    const slow = mutex.run(async () => {
      await new Promise(setImmediate)
      order.push(1)
      throw new Error('first')
    })
    const fast = mutex.run(async () => order.push(2))
    await assert.rejects(slow, /first/)
    await fast
    assert.deepEqual(order, [1, 2])
  })

  it('a keyed mutex keeps keys apart', async () => {
    const mutex = new KeyedMutex()
    const order: string[] = []
    const held = mutex.run('a', async () => {
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
      order.push('a1')
    })
    const next = mutex.run('a', async () => order.push('a2'))
    await mutex.run('b', async () => order.push('b'))
    await Promise.all([held, next])
    assert.deepEqual(order, ['b', 'a1', 'a2'])
  })

  it('a semaphore lets its limit in, and a waiter that gives up leaves its place', async () => {
    const semaphore = new Semaphore(1)
    let release = () => {}
    const first = semaphore.run(() => new Promise<void>((resolve) => (release = resolve)))
    const reason = new Error('enough')
    const leaving = new AbortController()
    const second = semaphore.run(async () => 'second', { signal: leaving.signal })
    const third = semaphore.run(async () => 'third')
    leaving.abort(reason)
    await assert.rejects(second, (error) => error === reason)
    release()
    assert.equal(await third, 'third')
    await first
  })

  it('share joins calls in flight and forgets failures', async () => {
    let calls = 0
    const shared = share(async (key: string) => {
      calls++
      await new Promise(setImmediate)
      if (calls === 1) throw new Error('once')
      return key + calls
    })
    const joined = [shared('k'), shared('k')]
    await Promise.all(joined.map((one) => assert.rejects(one, /once/)))
    assert.equal(await shared('k'), 'k2')
  })
})

describe('lru cache', () => {
  it('is bounded by bytes, drops the least recently used, and refuses what would not fit', () => {
    const cache = new LruCache<string>(10)
    cache.set('a', 'A', 4)
    cache.set('b', 'B', 4)
    assert.equal(cache.get('a'), 'A')
    cache.set('c', 'C', 4)
    assert.equal(cache.get('b'), undefined)
    assert.equal(cache.get('a'), 'A')
    cache.set('d', 'D', 11)
    assert.equal(cache.get('d'), undefined)
    assert.equal(cache.bytes, 8)
  })
})
