import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Channel, PeerHost } from '../../src/net/peer-host.ts'
import { ChunkFetcher } from '../../src/sync/chunk-fetcher.ts'
import { SILENT } from '../../src/util/logger.ts'
import { systemScheduler } from '../../src/util/scheduler.ts'

const PEER = new Uint8Array(32).fill(7)

/** One that closes when the test says so, as over a line that is gone. */
class SlowChannel implements Channel {
  readonly peer = PEER
  readonly sent: unknown[] = []
  end: () => void = () => {}
  readonly #ended = new Promise<void>((resolve) => (this.end = resolve))

  async send(message: unknown): Promise<void> {
    this.sent.push(message)
  }

  async *messages(): AsyncGenerator<Uint8Array> {
    await this.#ended
  }

  close(): Promise<void> {
    return this.#ended
  }

  abort(): void {
    this.end()
  }
}

describe('the fetcher of chunks', () => {
  it('asks a peer that came back, though its channel of before ends only then', async () => {
    const channels: SlowChannel[] = []
    let listener: Parameters<PeerHost['subscribe']>[0] = {}
    const host = {
      peers: () => [],
      subscribe: (one: typeof listener) => {
        listener = one
        return () => {}
      },
      open: async () => {
        const channel = new SlowChannel()
        channels.push(channel)
        return channel
      },
    } as unknown as PeerHost
    const fetcher = new ChunkFetcher({
      host,
      scheduler: systemScheduler,
      log: SILENT,
      isMember: () => true,
      rateDown: 0,
      keep: async () => {},
    })
    fetcher.start()
    listener.connected?.(PEER)
    await sleep(1)
    listener.disconnected?.(PEER)
    listener.connected?.(PEER)
    await sleep(1)
    const [before, now] = channels
    assert.ok(before !== undefined && now !== undefined)
    before.end()
    await sleep(1)

    const sha256 = createHash('sha256').update('part').digest()
    const giveUp = new AbortController()
    const fetched = fetcher.fetch([{ naming: 'part', id: sha256, lengthBytes: 4, sha256 }], giveUp)
    assert.equal(before.sent.length, 0)
    assert.ok(now.sent.length > 0, 'nobody was asked')

    giveUp.abort(new Error('enough'))
    await assert.rejects(fetched, /enough/)
    now.end()
    await fetcher.stop()
  })
})
