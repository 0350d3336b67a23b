import { decodeChunkMessage, encodeChunkMessage } from '../../src/format/chunk-message.ts'
import type { ChunkMessage } from '../../src/format/chunk-message.ts'
import { logId, operationHash, repositoryId } from '../../src/format/operation.ts'
import { decodeSyncMessage, encodeResponse } from '../../src/format/sync-message.ts'
import type { SyncCall, SyncMessage, SyncRequest, SyncResponse } from '../../src/format/sync-message.ts'
import type { Channel, PeerHost } from '../../src/net/peer-host.ts'
import { CHUNK_PROTOCOL } from '../../src/sync/chunk-fetcher.ts'
import { SYNC_PROTOCOL } from '../../src/sync/replicator.ts'
import type { SyncAnswers } from '../../src/sync/sync-server.ts'
import { compareBytes, concat, EMPTY } from '../../src/util/bytes.ts'
import { MIB } from '../../src/util/units.ts'

export type SyncQuestion = Extract<SyncMessage, { type: 'request' }>
/** Messages in answer to one; none at all is silence. */
export type Reply<Q> = (question: Q) => Promise<readonly Uint8Array[]> | readonly Uint8Array[]

/** More of everything than honest nodes allow themselves. */
const LIBERAL = { maxMessageBytes: 100 * MIB, maxChannelsPerPeer: 100_000 }

/**
 * A member of the realm that speaks the protocols of nodes and says what a test has it say: over the simulated network,
 * and over real sockets. Rows 14 to 21 of the threat model.
 */
export class ByzantinePeer {
  readonly host: PeerHost
  /** How often it was asked what, by call or type. */
  readonly asked = new Map<string, number>()

  constructor(host: PeerHost) {
    this.host = host
  }

  answerSync(reply: Reply<SyncQuestion>): void {
    this.host.handle(SYNC_PROTOCOL, LIBERAL, (channel) => {
      void this.#answer(channel, (bytes) => {
        const message = decodeSyncMessage(bytes)
        if (message.type !== 'request') return []
        this.#count(message.call)
        return reply(message)
      })
    })
  }

  answerChunks(reply: Reply<ChunkMessage>): void {
    this.host.handle(CHUNK_PROTOCOL, LIBERAL, (channel) => {
      void this.#answer(channel, (bytes) => {
        const message = decodeChunkMessage(bytes)
        this.#count(message.type)
        return reply(message)
      })
    })
  }

  /** Calls a node and says all of it, read or not. */
  async say(peer: Uint8Array, protocol: 'sync' | 'chunk', messages: Iterable<Uint8Array>): Promise<Channel> {
    const name = protocol === 'sync' ? SYNC_PROTOCOL : CHUNK_PROTOCOL
    const channel = await this.host.open(peer, name, LIBERAL)
    for (const message of messages) await channel.send(message)
    return channel
  }

  async #answer(channel: Channel, reply: Reply<Uint8Array>): Promise<void> {
    try {
      for await (const bytes of channel.messages())
        for (const message of await reply(bytes)) await channel.send(message)
    } catch {
      // It was shown out.
    }
  }

  #count(what: string): void {
    this.asked.set(what, (this.asked.get(what) ?? 0) + 1)
  }
}

/** Answers as an honest node sends them, whatever they say. */
export function saying(answers: SyncAnswers): Reply<SyncQuestion> {
  const answer = async <C extends SyncCall>(call: C, number: number, body: SyncRequest) => [
    encodeResponse(call, number, await answers[call](body as SyncRequest<C>)),
  ]
  return ({ call, number, body }) => answer(call, number, body)
}

export function chunkAnswer(message: ChunkMessage): Uint8Array {
  return concat(encodeChunkMessage(message))
}

/** A log as a liar tells of it. */
export interface ClaimedLog {
  readonly author: Uint8Array
  readonly incarnation: Uint8Array
  readonly operations: readonly Uint8Array[]
  /** Hashes of the last ones; without them that of the last operation. */
  readonly heads?: readonly Uint8Array[]
}

/** What a liar says that it has: repositories by name, and their logs. It has the governance of whoever asks. */
export function claims(
  realm: Uint8Array,
  repositories: Readonly<Record<string, readonly ClaimedLog[]>>,
): SyncAnswers {
  const all = Object.entries(repositories).map(([name, logs]) => {
    const id = repositoryId(realm, name)
    const sorted = logs.map((log) => ({ ...log, id: logId(id, log.author, log.incarnation) }))
    return { id, name, logs: sorted.sort((a, b) => compareBytes(a.id, b.id)) }
  })
  const items = all
    .map(({ id }) => ({ repository: id, digest: new Uint8Array(16).fill(0xbb) }))
    .sort((a, b) => compareBytes(a.repository, b.repository))
  return {
    hello: (hello): SyncResponse<'hello'> => ({
      ...hello,
      database: new Uint8Array(16).fill(0xdb),
      change: 1,
      state: new Uint8Array(16).fill(0xee),
    }),
    changes: () => ({ items, next: 1, hasMore: false, isReset: false }),
    repositories: () => ({ items, hasMore: false }),
    logs: ({ repository }) => {
      const found = all.find(({ id }) => compareBytes(id, repository) === 0)
      const logs = found?.logs.map(({ author, incarnation, operations, heads }) => ({
        author,
        incarnation,
        sequence: Math.max(1, operations.length),
        heads: heads ?? [operationHash(operations.at(-1) ?? EMPTY)],
      }))
      return { name: found?.name ?? '', logs: logs ?? [], hasMore: false }
    },
    operations: ({ log, from, skip }) => {
      const found = all.flatMap(({ logs }) => logs).find(({ id }) => compareBytes(id, log) === 0)
      return { items: found?.operations.slice(from - 1 + skip) ?? [], hasMore: false }
    },
    objects: ({ ids }) => ({ items: ids.map(() => EMPTY) }),
    governance: () => ({ hashes: [], hasMore: false }),
    records: ({ ids }) => ({ items: ids.map(() => EMPTY) }),
  }
}
