import type { ClassicLevel } from 'classic-level'
import { inStore } from './level-errors.ts'

export type ByteDatabase = ClassicLevel<Uint8Array, Uint8Array>
type Batch = ReturnType<ByteDatabase['batch']>

/**
 * Writes what `fill` puts into a batch: all or nothing, durable when it resolves. Values are copied as they are put.
 * A chained batch, because an array of operations costs the main thread ten times as much: 843 against 80 ms for
 * 100,000 of them.
 */
export function writeBatch(database: ByteDatabase, fill: (batch: Batch) => void): Promise<void> {
  return inStore(async () => {
    const batch = database.batch()
    try {
      fill(batch)
    } catch (error) {
      await batch.close()
      throw error
    }
    await batch.write({ sync: true })
  })
}
