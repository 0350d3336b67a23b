/**
 * The chunk port: chunks over the part of 0-db's protocol that Zero-OS nodes, zflist and the hub's tools speak
 * (flist-v1.md §11, zero-os.md §4). Anybody may read; who knows the password may write chunks under their hash.
 */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { MAX_CHUNK_BYTES } from '../format/chunk.ts'
import { encodeError } from '../format/resp.ts'
import type { ChunkSource, ChunkStore } from '../store/chunk-store.ts'
import type { Logger } from '../util/logger.ts'
import { MINUTE_MS, MIB, SECOND_MS } from '../util/units.ts'
import { Connection, type ConnectionLimits } from './connection.ts'
import { createRespCounters, type RespCounters } from './counters.ts'
import { HotChunks } from './hot-chunks.ts'
import { PasswordGate } from './password-gate.ts'
import type { Port } from './port.ts'
import { UseLog } from './use-log.ts'

export interface RespDeps {
  readonly chunks: ChunkStore
  readonly log: Logger
  /** Asked for chunks that are not here: peers, later. */
  readonly remote?: ChunkSource | undefined
  /** Unix milliseconds; `Date.now` when absent. */
  readonly clock?: () => number
  readonly counters?: RespCounters
}

export interface HostPort {
  readonly host: string
  /** 0 = any free one. */
  readonly port: number
}

export interface RespOptions {
  readonly listen: readonly HostPort[]
  /** Opens writing; without one nobody writes. */
  readonly password?: string | undefined
  readonly readonly?: boolean
  readonly maxConnections?: number
  readonly idleMs?: number
  readonly maxPipeline?: number
  /** Of one connection. */
  readonly maxOutputBytes?: number
  /** Of all connections: each gets its share, so that 4,096 clients that do not read cost this and not 32 GiB. */
  readonly maxTotalOutputBytes?: number
  readonly failedAuthDelayMs?: number
  /** Memory for chunks that are asked for often; 0, the default, keeps none. */
  readonly cacheBytes?: number
}

export interface RespServer {
  /** @throws the system's error when an address cannot be had; nothing is left listening. */
  start(): Promise<void>
  /** Answers writes under way and closes; resolves when every socket is gone, within three seconds. */
  stop(): Promise<void>
  /** Where it listens, with the real port; empty before `start`. */
  readonly addresses: readonly HostPort[]
  readonly counters: RespCounters
  /** Bytes kept for clients, in and out. */
  bufferedBytes(): number
  /** Whoever deletes chunks says so here once they are gone. */
  forget(ids: readonly Uint8Array[]): void
}

/** Source: security.md row 22. */
const DEFAULTS = {
  maxArguments: 1024,
  maxConnections: 4096,
  idleMs: MINUTE_MS,
  maxPipeline: 64,
  maxOutputBytes: 8 * MIB,
  maxTotalOutputBytes: 256 * MIB,
  failedAuthDelayMs: SECOND_MS,
} as const
/** From then on a silent connection may have to go when the port is full; 0-fs tries one that rested 10 s before use. */
const IDLE_ENOUGH_MS = 15 * SECOND_MS
/** Whoever has not taken our last words by then loses them. */
const STOP_MS = 2 * SECOND_MS

export function createRespServer(deps: RespDeps, options: RespOptions): RespServer {
  return new ChunkPort(deps, options)
}

class ChunkPort implements RespServer {
  readonly counters: RespCounters
  readonly #log: Logger
  readonly #options: RespOptions
  readonly #port: Port
  readonly #limits: ConnectionLimits
  readonly #maxConnections: number
  readonly #connections = new Set<Connection>()
  #servers: Server[] = []
  #onLastClosed: (() => void) | undefined

  constructor(deps: RespDeps, options: RespOptions) {
    const { chunks, log, remote, clock = Date.now } = deps
    this.#log = log
    this.#options = options
    this.counters = deps.counters ?? createRespCounters()
    this.#maxConnections = options.maxConnections ?? DEFAULTS.maxConnections
    this.#port = {
      chunks,
      hot: new HotChunks(chunks, options.cacheBytes ?? 0),
      remote,
      uses: new UseLog({ chunks, log, clock }),
      gate: new PasswordGate({
        password: options.password,
        failureDelayMs: options.failedAuthDelayMs ?? DEFAULTS.failedAuthDelayMs,
      }),
      counters: this.counters,
      isReadonly: options.readonly ?? false,
      clock,
      startedAtMs: clock(),
    }
    this.#limits = this.#connectionLimits()
  }

  #connectionLimits(): ConnectionLimits {
    const { maxOutputBytes = DEFAULTS.maxOutputBytes, maxTotalOutputBytes = DEFAULTS.maxTotalOutputBytes } =
      this.#options
    return {
      maxArguments: DEFAULTS.maxArguments,
      maxValueBytes: MAX_CHUNK_BYTES,
      maxPipeline: this.#options.maxPipeline ?? DEFAULTS.maxPipeline,
      idleMs: this.#options.idleMs ?? DEFAULTS.idleMs,
      maxOutputBytes: () => Math.min(maxOutputBytes, maxTotalOutputBytes / this.#connections.size),
    }
  }

  get addresses(): readonly HostPort[] {
    return this.#servers.flatMap((server) => {
      const address = server.address() as AddressInfo | null
      return address === null ? [] : [{ host: address.address, port: address.port }]
    })
  }

  bufferedBytes(): number {
    let bytes = 0
    for (const connection of this.#connections) bytes += connection.bufferedBytes
    return bytes
  }

  forget(ids: readonly Uint8Array[]): void {
    this.#port.hot.forget(ids)
  }

  async start(): Promise<void> {
    try {
      for (const { host, port } of this.#options.listen) {
        const server = createServer({ allowHalfOpen: true, keepAlive: true }, (socket) =>
          this.#accept(socket),
        )
        await listen(server, host, port)
        server.on('error', (error) => this.#log.error('chunk port: listener failed', { host, port }, error))
        this.#servers.push(server)
      }
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    const closed = this.#servers.map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    )
    this.#servers = []
    const drained = new Promise<void>((resolve) => {
      this.#onLastClosed = resolve
      if (this.#connections.size === 0) resolve()
    })
    const impatient = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy()
    }, STOP_MS)
    for (const connection of this.#connections) connection.shutDown()
    await drained
    clearTimeout(impatient)
    await Promise.all(closed)
    await this.#port.uses.settle()
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= this.#maxConnections && !this.#makeRoom()) return this.#refuse(socket)
    this.counters.connections++
    this.counters.connectionsTotal++
    const connection = new Connection(socket, this.#port, this.#log, this.#limits)
    this.#connections.add(connection)
    socket.on('close', () => {
      this.counters.connections--
      this.#connections.delete(connection)
      if (this.#connections.size === 0) this.#onLastClosed?.()
    })
  }

  /** Closes the connection that has been silent longest, so that idlers cannot keep nodes out. False if none has. */
  #makeRoom(): boolean {
    let longest: Connection | undefined
    let sinceMs = this.#port.clock() - IDLE_ENOUGH_MS
    for (const connection of this.#connections) {
      if (connection.idleSinceMs > sinceMs) continue
      longest = connection
      sinceMs = connection.idleSinceMs
    }
    if (longest === undefined) return false
    this.counters.connectionsDropped++
    this.#connections.delete(longest)
    longest.destroy()
    return true
  }

  #refuse(socket: Socket): void {
    this.counters.connectionsRefused++
    socket.on('error', () => {})
    socket.end(encodeError('Too many connections'))
    socket.destroySoon()
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
