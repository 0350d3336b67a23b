import { randomBytes } from 'node:crypto'
import { CorruptError } from '../errors.ts'
import type { RowChange, RowStore } from '../store/row-store.ts'
import { toHex } from '../util/bytes.ts'

/** Runs of entries of uploads under way (`EntrySpool`). Key: 8 random bytes an upload, u32 run, u32 page. */
const SPACE = 'spool'
const UPLOAD_BYTES = 8
const PAGES_A_WRITE = 16
const ROWS_A_DELETE = 256

/** The runs of one upload as rows. */
export class RunRows {
  readonly #rows: RowStore
  readonly #upload = randomBytes(UPLOAD_BYTES)
  readonly #keys: Uint8Array[] = []

  constructor(rows: RowStore) {
    this.#rows = rows
  }

  async write(run: number, pages: readonly Uint8Array[]): Promise<void> {
    for (let from = 0; from < pages.length; from += PAGES_A_WRITE) {
      const changes = pages.slice(from, from + PAGES_A_WRITE).map((value, index): RowChange => {
        const key = this.#key(run, from + index)
        this.#keys.push(key)
        return { type: 'put', space: SPACE, key, value }
      })
      await this.#rows.write(changes)
    }
  }

  /** @throws {CorruptError} when the store has lost it. */
  read(run: number, page: number): Uint8Array {
    const key = this.#key(run, page)
    const bytes = this.#rows.get(SPACE, key)
    if (bytes === undefined) throw new CorruptError(toHex(key), 'a page of entries of this upload is gone')
    return bytes
  }

  async clear(): Promise<void> {
    await deleteRows(this.#rows, this.#keys.splice(0))
  }

  #key(run: number, page: number): Uint8Array {
    const key = Buffer.alloc(UPLOAD_BYTES + 8)
    this.#upload.copy(key)
    key.writeUInt32BE(run, UPLOAD_BYTES)
    key.writeUInt32BE(page, UPLOAD_BYTES + 4)
    return key
  }
}

/** Removes what uploads have left that a crash cut off; before the first upload starts. */
export async function clearRuns(rows: RowStore): Promise<void> {
  const keys: Uint8Array[] = []
  for await (const [key] of rows.rows(SPACE)) keys.push(key)
  await deleteRows(rows, keys)
}

async function deleteRows(rows: RowStore, keys: readonly Uint8Array[]): Promise<void> {
  for (let from = 0; from < keys.length; from += ROWS_A_DELETE) {
    const part = keys.slice(from, from + ROWS_A_DELETE)
    await rows.write(part.map((key) => ({ type: 'delete', space: SPACE, key })))
  }
}
