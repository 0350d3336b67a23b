/** Chunks whose payload was found lost or damaged, until they are stored anew; across restarts. */
import { toLatin1 } from '../util/bytes.ts'
import type { RowChange, RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

export class DamagedChunks {
  readonly #rows: RowStore
  readonly #keys = new Set<string>()

  constructor(rows: RowStore) {
    this.#rows = rows
  }

  async load(): Promise<void> {
    for await (const [id] of this.#rows.rows(SPACES.damaged)) this.#keys.add(toLatin1(id))
  }

  has(id: Uint8Array): boolean {
    return this.#keys.size > 0 && this.#keys.has(toLatin1(id))
  }

  /** Counts from the call on; durable when it resolves. */
  async add(id: Uint8Array): Promise<void> {
    const key = toLatin1(id)
    if (this.#keys.has(key)) return
    this.#keys.add(key)
    await this.#rows.write([{ type: 'put', space: SPACES.damaged, key: id, value: new Uint8Array() }])
  }

  /** What makes it durable that these are sound or gone; `forget` once it is. */
  removal(ids: readonly Uint8Array[]): RowChange[] {
    return ids.map((id) => ({ type: 'delete', space: SPACES.damaged, key: id }))
  }

  forget(ids: readonly Uint8Array[]): void {
    for (const id of ids) this.#keys.delete(toLatin1(id))
  }
}
