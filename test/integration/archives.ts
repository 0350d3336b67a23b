/** Small archives made by tar-stream, an independent writer. */
import { gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'

export interface Member {
  readonly name: string
  readonly content?: Uint8Array | string
  readonly type?: 'file' | 'directory' | 'symlink' | 'link' | 'fifo' | 'character-device' | 'block-device'
  readonly linkname?: string
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly devmajor?: number
  readonly devminor?: number
}

const MTIME = new Date(1_700_000_000_000)

export async function tarOf(members: readonly Member[]): Promise<Buffer> {
  const archive = pack()
  for (const { content, ...header } of members) {
    const bytes = typeof content === 'string' ? Buffer.from(content) : Buffer.from(content ?? [])
    archive.entry(
      { mtime: MTIME, mode: header.type === 'directory' ? 0o755 : 0o644, ...header, size: bytes.length },
      bytes,
    )
  }
  archive.finalize()
  const pieces: Buffer[] = []
  for await (const piece of archive) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

export async function tarGzOf(members: readonly Member[]): Promise<Buffer> {
  return gzipSync(await tarOf(members), { level: 1 })
}

/** Bytes that look random and are the same for the same seed (xorshift32). */
export function noise(length: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = (seed * 2654435761 + 1) >>> 0 || 1
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state
  }
  return Buffer.from(words.buffer, 0, length)
}
