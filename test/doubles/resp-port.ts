import type { TestContext } from 'node:test'
import { blake2b128 } from '../../src/format/blake2b.ts'
import { createRespServer, type RespDeps, type RespOptions, type RespServer } from '../../src/resp/server.ts'
import { SILENT } from '../../src/util/logger.ts'
import { RespClient } from './resp-client.ts'
import { ScriptedChunkStore } from './scripted-chunk-store.ts'

export interface OpenPort {
  readonly server: RespServer
  readonly chunks: ScriptedChunkStore
  readonly port: number
  connect(options?: { allowHalfOpen?: boolean }): Promise<RespClient>
}

/** A port on a free address over a scripted store; it and its clients end with the test. */
export async function openPort(
  context: TestContext,
  options: Partial<RespOptions> = {},
  deps: Partial<RespDeps> = {},
): Promise<OpenPort> {
  const chunks = new ScriptedChunkStore()
  const server = createRespServer(
    { chunks, log: SILENT, ...deps },
    { listen: [{ host: '127.0.0.1', port: 0 }], failedAuthDelayMs: 1, ...options },
  )
  await server.start()
  const clients: RespClient[] = []
  context.after(async () => {
    for (const client of clients) client.destroy()
    await server.stop()
  })
  const port = server.addresses[0]?.port ?? 0
  return {
    server,
    chunks,
    port,
    connect: async (how) => {
      const client = await RespClient.connect(port, how)
      clients.push(client)
      return client
    },
  }
}

/** A chunk of `bytes`, held by `chunks` when given. */
export function chunkOf(
  bytes: Uint8Array | string,
  chunks?: ScriptedChunkStore,
): { id: Buffer; bytes: Buffer } {
  const content = Buffer.from(bytes)
  const id = Buffer.from(blake2b128(content))
  chunks?.hold(id, content)
  return { id, bytes: content }
}

/** `$n\r\n…\r\n` as latin1 text. */
export function bulkText(bytes: Uint8Array): string {
  return `$${bytes.length}\r\n${Buffer.from(bytes).toString('latin1')}\r\n`
}
