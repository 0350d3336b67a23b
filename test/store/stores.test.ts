import { after } from 'node:test'
import { MemoryChunkStore } from '../../src/store/memory-chunk-store.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { testChunkStore } from '../suites/chunk-store.ts'
import { testRowStore } from '../suites/row-store.ts'
import { openStore } from './open-store.ts'

const file = { after }

testRowStore('MemoryRowStore', async () => new MemoryRowStore())
testRowStore('LevelRowStore', async () => (await openStore(file)).rows)
testChunkStore('MemoryChunkStore', async (clock) => new MemoryChunkStore(clock))
testChunkStore('LevelChunkStore', async (clock) => (await openStore(file, { clock })).chunks)
