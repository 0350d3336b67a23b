import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import type { ChunkStore } from '../src/store/chunk-store.ts'
import { FreeSpace } from '../src/store/free-space.ts'
import { LevelChunkStore } from '../src/store/level-chunk-store.ts'
import { LevelRowStore } from '../src/store/level-row-store.ts'
import { PayloadLog } from '../src/store/payload-log.ts'
import { MIB } from '../src/util/units.ts'

export interface BenchStore {
  readonly chunks: ChunkStore
  close(): Promise<void>
}

export async function openBenchStore(folder: string): Promise<BenchStore> {
  await mkdir(folder, { recursive: true })
  const bytes = { keyEncoding: 'view', valueEncoding: 'view' } as const
  const index = new ClassicLevel<Uint8Array, Uint8Array>(join(folder, 'index'), {
    ...bytes,
    cacheSize: 32 * MIB,
  })
  const payloads = new ClassicLevel<Uint8Array, Uint8Array>(join(folder, 'chunks'), {
    ...bytes,
    compression: false,
    writeBufferSize: 16 * MIB,
    maxFileSize: 64 * MIB,
    cacheSize: 32 * MIB,
  })
  await Promise.all([index.open(), payloads.open()])
  const chunks = await LevelChunkStore.open({
    payloads: new PayloadLog(payloads),
    rows: new LevelRowStore(index),
    space: new FreeSpace(folder, 0),
    clock: Date.now,
  })
  return {
    chunks,
    close: async () => {
      await Promise.all([index.close(), payloads.close()])
    },
  }
}
