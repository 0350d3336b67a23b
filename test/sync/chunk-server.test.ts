import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeChunkMessage } from '../../src/format/chunk-message.ts'
import type { Channel } from '../../src/net/peer-host.ts'
import { serveChunks } from '../../src/sync/chunk-server.ts'
import { keyOf } from '../../src/sync/fetch-item.ts'
import { PromisedChunks } from '../../src/sync/promised-chunks.ts'
import { concat } from '../../src/util/bytes.ts'
import { Semaphore } from '../../src/util/semaphore.ts'

const HERE = new Uint8Array(16).fill(1)
const MISSING = new Uint8Array(16).fill(2)

describe('the server of chunks', () => {
  it('sends nobody to a peer that it had nothing for', async () => {
    const get = { type: 'get', number: 0, naming: 'chunk', ids: [HERE, MISSING] } as const
    const channel: Channel = {
      peer: new Uint8Array(32).fill(7),
      send: async () => {},
      messages: async function* () {
        yield concat(encodeChunkMessage(get))
      },
      close: async () => {},
      abort: () => {},
    }
    const promised = new PromisedChunks()
    const held = {
      has: () => true,
      read: (_: unknown, id: Uint8Array) => (Buffer.compare(id, HERE) === 0 ? id : undefined),
    }
    await serveChunks(channel, held, {
      turns: new Semaphore(4),
      pass: async () => {},
      promised,
      now: () => 0,
    })

    for (let at = 0; at < 8; at++) promised.promise(`other ${at}`, 'a third one', 0) // much waits now
    const isElsewhere = (id: Uint8Array) => promised.isElsewhere(keyOf({ naming: 'chunk', id }), 'another', 0)
    assert.equal(isElsewhere(HERE), true)
    assert.equal(isElsewhere(MISSING), false)
  })
})
