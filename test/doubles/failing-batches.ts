import type { ByteDatabase } from '../../src/store/level-writer.ts'

/** A full disk, as LevelDB tells it. */
export const NO_SPACE = Object.assign(new Error('IO error: No space left on device'), {
  code: 'LEVEL_IO_ERROR',
})

/**
 * The next batch of a LevelDB fails: before anything is written, or, `late`, after all of it was. Answers a function
 * that tells whether it has.
 */
export function failNextBatch(database: ByteDatabase, when: 'early' | 'late' = 'early'): () => boolean {
  const make = database.batch.bind(database) as () => ReturnType<ByteDatabase['batch']>
  let hasFailed = false
  const failing = () => {
    Reflect.deleteProperty(database, 'batch')
    const batch = make()
    const write = batch.write.bind(batch)
    const fail = async (options: Parameters<typeof write>[0]) => {
      hasFailed = true
      await (when === 'late' ? write(options) : batch.close())
      throw NO_SPACE
    }
    return Object.defineProperty(batch, 'write', { configurable: true, value: fail })
  }
  Object.defineProperty(database, 'batch', { configurable: true, value: failing })
  return () => hasFailed
}
