import { MemoryChunkStore } from '../../src/store/memory-chunk-store.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { testChunkStore } from '../suites/chunk-store.ts'
import { testRowStore } from '../suites/row-store.ts'
import { openStore } from './open-store.ts'

testRowStore('MemoryRowStore', async () => new MemoryRowStore())
testRowStore('LevelRowStore', async (t) => (await openStore(t)).rows)
testChunkStore('MemoryChunkStore', async (_, clock) => new MemoryChunkStore(clock))
testChunkStore('LevelChunkStore', async (t, clock) => (await openStore(t, { clock })).chunks)
