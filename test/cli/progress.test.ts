import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { StreamOutput } from '../../src/cli/output.ts'
import { barLine, Progress, progressFacts } from '../../src/cli/progress.ts'
import { Collected } from './fake-node.ts'

const NEVER = new AbortController().signal

function shown(
  isTerminal: boolean,
  steps: ReadonlyArray<readonly [atMs: number, bytes: number]>,
  total?: number,
) {
  const stream = new Collected(isTerminal)
  let nowMs = 0
  const progress = new Progress(new StreamOutput(stream, NEVER), {
    label: 'put',
    unit: 'bytes',
    total,
    now: () => nowMs,
  })
  for (const [atMs, bytes] of steps) {
    nowMs = atMs
    progress.add(bytes)
  }
  progress.end()
  return stream.all().toString()
}

describe('progress', () => {
  it('is a line now and then where there is no terminal, and none for what is quick', () => {
    assert.equal(shown(false, [[100, 1000]]), '')
    const lines = shown(false, [
      [4999, 1024],
      [5000, 1024],
      [5001, 1024],
      [10_000, 1024],
    ])
    assert.equal(lines, 'put  2.0 KiB  410 B/s\nput  4.0 KiB  410 B/s\n')
  })

  it('is a bar that is drawn over itself and goes away on a terminal', () => {
    const text = shown(true, [[1000, 512 * 1024]], 1024 * 1024)
    assert.equal(
      text,
      '\rput  [############------------]  50%  512 KiB of 1.0 MiB  512 KiB/s  0:01 left\u001b[K\r\u001b[K',
    )
  })

  it('never promises more than everything', () => {
    assert.deepEqual(progressFacts('bytes', 300, 200, 1000).texts, ['100%', '300 B of 200 B', '300 B/s'])
    assert.deepEqual(progressFacts('chunks', 7, undefined, 0).texts, ['7 chunks'])
    assert.equal(progressFacts('bytes', 1, 7201, 1000).texts.at(-1), '2:00:00 left')
  })

  it('keeps to one line, whatever its width', () => {
    const facts = progressFacts('bytes', 999 * 2 ** 20, 99 * 2 ** 30, 60_000)
    for (const columns of [10, 40, 60, 79, 200]) {
      assert.ok(barLine('extract', facts, columns).length <= columns, String(columns))
    }
    assert.match(barLine('extract', facts, 79), /\[[#-]{6,}\]/)
    assert.doesNotMatch(barLine('extract', facts, 50), /\[/)
  })
})
