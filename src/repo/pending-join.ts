import type { RowChange, RowStore } from '../store/row-store.ts'
import { fromUtf8 } from '../util/bytes.ts'
import { RowReader, RowWriter } from './row-codec.ts'
import { SPACES } from './rows.ts'

const JOINING = fromUtf8('joining')

/** The invite that this node is to use, and what it calls itself then. */
export class PendingJoin {
  readonly #rows: RowStore

  constructor(rows: RowStore) {
    this.#rows = rows
  }

  get(): { readonly invite: string; readonly name: string } | undefined {
    const row = this.#rows.get(SPACES.own, JOINING)
    if (row === undefined) return undefined
    const reader = new RowReader(row, 'joining', 1)
    return { invite: reader.text(), name: reader.text() }
  }

  /** Durable when it resolves. */
  async set(invite: string, name: string): Promise<void> {
    const value = new RowWriter(1).text(invite).text(name).end()
    await this.#rows.write([{ type: 'put', space: SPACES.own, key: JOINING, value }])
  }

  readonly forgotten: RowChange = { type: 'delete', space: SPACES.own, key: JOINING }
}
