import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { UnavailableError } from '../../src/errors.ts'
import type { ArchiveOptions } from '../../src/flist/ingest.ts'
import { clearRuns } from '../../src/flist/run-rows.ts'
import { toHex } from '../../src/util/bytes.ts'
import { MIB } from '../../src/util/units.ts'
import { chunkIdsOf } from '../../src/store/chunk-list.ts'
import { HeldIds, IngestBench, inPieces } from '../doubles/ingest-bench.ts'
import { noise } from '../doubles/noise.ts'
import { member, tarOf } from '../doubles/tar-bytes.ts'

function archiveOf(seed: number, files: number, bytes: number): Buffer {
  return tarOf(
    ...Array.from({ length: files }, (_, n) => member({ path: `f${n}`, content: noise(seed + n, bytes) })),
  )
}

function options(): ArchiveOptions & { lease: HeldIds } {
  return { lease: new HeldIds() }
}

/** Sends these bytes, then waits until it is told to end. */
function stalled(bytes: Uint8Array): {
  source: AsyncGenerator<Uint8Array>
  sent: Promise<void>
  hasEnded: () => boolean
} {
  let told = () => {}
  let hasEnded = false
  const sent = new Promise<void>((resolve) => {
    told = resolve
  })
  async function* source() {
    try {
      yield* inPieces(bytes, 100_000)
      told()
      await new Promise(() => {})
    } finally {
      hasEnded = true
    }
  }
  return { source: source(), sent, hasEnded: () => hasEnded }
}

describe('entries beyond what memory is given', () => {
  const members = [
    member({ path: 'z/last', content: 'last' }),
    member({ path: 'Ä\x01"\\name', content: 'odd' }),
    ...Array.from({ length: 500 }, (_, n) =>
      member({ path: `d${n % 13}/e${n % 3}/f${(n * 7919) % 1000}`, content: `${n}` }),
    ),
    member({ path: 'd0/e0/f0', content: 'replaced' }),
    member({ path: 'h', kind: 'hardlink', linkTarget: 'z/last' }),
    member({ path: 'z/last', content: 'newer' }),
    member({ path: 'h2', kind: 'hardlink', linkTarget: 'z/last' }),
    member({ path: 'd1', kind: 'directory', mode: 0o700 }),
    member({ path: './', kind: 'directory', mode: 0o711 }),
  ]

  it('are spilled, give the same bytes, and leave nothing', async () => {
    const bench = new IngestBench()
    const { flist } = await bench.take(tarOf(...members))
    for (const maxEntriesInMemory of [1, 7, 100, 500]) {
      const spilling = new IngestBench({ limits: { maxEntriesInMemory } })
      const other = await spilling.take(tarOf(...members))
      assert.ok(Buffer.from(other.flist.bytes).equals(flist.bytes), `${maxEntriesInMemory} in memory`)
      assert.deepEqual(await spilling.left(), [])
    }
  })

  it('are cleared when the archive fails, and after a crash', async () => {
    const bench = new IngestBench({ limits: { maxEntriesInMemory: 10 } })
    await assert.rejects(bench.take(tarOf(...members, member({ path: '../x' }))))
    assert.deepEqual(await bench.left(), [])
    await bench.rows.write([
      { type: 'put', space: 'spool', key: Buffer.from('left over'), value: Buffer.from('x') },
    ])
    await clearRuns(bench.rows)
    assert.deepEqual(await bench.left(), [])
  })
})

describe('threads that have made a large flist', () => {
  it('end after a rest, and others take the next archive', async () => {
    const bench = new IngestBench({ restMs: 0 })
    const archive = tarOf(
      ...Array.from({ length: 10_001 }, (_, n) => member({ path: `f${n}`, content: 'x' })),
    )
    const first = await bench.take(archive)
    const second = bench.take(archive) // at once, by the threads that rest
    assert.ok(Buffer.from((await second).flist.bytes).equals(first.flist.bytes))
    await new Promise((resolve) => setTimeout(resolve, 50)) // no clock to turn: the rest is a timer
    assert.ok(Buffer.from((await bench.take(archive)).flist.bytes).equals(first.flist.bytes))
  })
})

describe('the lease of an upload', () => {
  it('holds every chunk before it is written, and known ones too', async () => {
    const bench = new IngestBench()
    const archive = archiveOf(1, 20, 3000)
    const first = options()
    const unheld: string[] = []
    const write = bench.chunks.write.bind(bench.chunks)
    bench.chunks.write = (chunks) => {
      for (const { id } of chunks) if (!first.lease.chunks.has(toHex(id))) unheld.push(toHex(id))
      return write(chunks)
    }
    const { flist } = await bench.ingest.run(inPieces(archive, 5000), first)
    assert.deepEqual(unheld, [])
    const again = options()
    await bench.ingest.run(inPieces(archive, 5000), again)
    assert.deepEqual(again.lease.chunks, new Set(chunkIdsOf(flist).map(toHex)))
  })

  it('is believed only with the answer of the store: what is gone meanwhile is encoded again', async () => {
    const bench = new IngestBench()
    const archive = archiveOf(1, 20, 3000)
    const { flist } = await bench.take(archive)
    await bench.chunks.delete(chunkIdsOf(flist).slice(0, 7))
    const written = bench.chunks.written
    await bench.take(archive)
    assert.equal(bench.chunks.written - written, 7)
    bench.read(flist.bytes)
  })
})

describe('several archives at once', () => {
  it('do not mix', async () => {
    const bench = new IngestBench({ maxAtOnce: 3 })
    const archives = [0, 1, 2, 3, 4, 5, 6].map((n) => archiveOf(n % 3, 40 + n, 20_000))
    const made = await Promise.all(archives.map((archive) => bench.take(archive, 30_000)))
    for (const [n, { flist }] of made.entries()) {
      const alone = await bench.take(archives[n] ?? Buffer.alloc(0))
      assert.ok(Buffer.from(alone.flist.bytes).equals(flist.bytes))
      assert.equal(bench.read(flist.bytes).size, 41 + n)
    }
  })

  it('wait for their turn, and may leave the queue', async () => {
    const bench = new IngestBench({ maxAtOnce: 1 })
    const blocker = stalled(archiveOf(1, 3, 1000))
    const leave = new AbortController()
    const blocking = bench.ingest.run(blocker.source, { ...options(), signal: leave.signal })
    await blocker.sent
    const waiting = new AbortController()
    const reason = new Error('no patience')
    const queued = bench.ingest.run(inPieces(archiveOf(2, 3, 10), 99), {
      ...options(),
      signal: waiting.signal,
    })
    waiting.abort(reason)
    await assert.rejects(queued, (error) => error === reason)
    leave.abort(reason)
    await assert.rejects(blocking, (error) => error === reason)
    assert.equal((await bench.take(archiveOf(2, 3, 10))).counts.regular, 3)
  })
})

describe('an upload that is given up', () => {
  it('leaves no file and no row, ends its source, and the next one works', async () => {
    const bench = new IngestBench({ limits: { maxEntriesInMemory: 5 } })
    const reason = new Error('gone')
    for (const megabytes of [0, 1, 6, 20]) {
      const leave = new AbortController()
      const upload = stalled(archiveOf(50, 2 * megabytes, MIB / 2).subarray(0, -1024))
      const run = bench.ingest.run(upload.source, { ...options(), signal: leave.signal })
      await upload.sent
      leave.abort(reason)
      await assert.rejects(run, (error) => error === reason)
      assert.deepEqual(await bench.left(), [])
    }
    assert.equal((await bench.take(archiveOf(9, 5, 5000))).counts.regular, 5)
  })

  it('passes on what its source fails with', async () => {
    const bench = new IngestBench()
    const failure = new Error('connection reset')
    async function* source() {
      yield* inPieces(archiveOf(1, 4, MIB), 65_536)
      throw failure
    }
    await assert.rejects(bench.ingest.run(source(), options()), (error) => error === failure)
  })

  it('ends the source of a refused archive, though more would come', async () => {
    const bench = new IngestBench()
    let pieces = 0
    let hasEnded = false
    async function* source() {
      try {
        for (; pieces < 10_000; pieces++) yield noise(pieces, 100_000)
      } finally {
        hasEnded = true
      }
    }
    await assert.rejects(bench.ingest.run(source(), options()), /not a tar archive/)
    await new Promise((resolve) => setImmediate(resolve))
    assert.ok(hasEnded && pieces < 200, `${pieces} pieces`)
  })

  it('by a stop of the node says so; after that none is taken', async () => {
    const bench = new IngestBench()
    const upload = stalled(archiveOf(1, 30, MIB / 3))
    const run = bench.ingest.run(upload.source, options())
    run.catch(() => {})
    await upload.sent
    await bench.ingest.stop()
    await assert.rejects(run, UnavailableError)
    await assert.rejects(bench.take(archiveOf(1, 1, 1)), UnavailableError)
  })
})
