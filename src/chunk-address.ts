/** Where a mounted flist looks for this node's chunks (hub-departures, Backend). */
import type { ChunkAddress, Config } from './config.ts'
import { isLoopback, type HostPort } from './util/parse.ts'

/**
 * ZHUB_PUBLIC_CHUNKS; without it, the host of ZHUB_PUBLIC_URL with the chunk port; without either and with HTTP on
 * loopback, the loopback address; otherwise none. The request's Host header is never asked.
 */
export function publicChunkAddress(
  { publicChunks, publicUrl, http }: Pick<Config, 'publicChunks' | 'publicUrl' | 'http'>,
  resp: readonly HostPort[],
): ChunkAddress | undefined {
  if (publicChunks !== undefined) return publicChunks
  const port = resp[0]?.port
  if (port === undefined) return undefined
  if (publicUrl !== undefined) return { namespace: 'default', host: new URL(publicUrl).hostname, port }
  const onLoopback = http.every(({ host }) => isLoopback(host))
  return onLoopback ? { namespace: 'default', host: '127.0.0.1', port } : undefined
}
