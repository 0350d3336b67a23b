import { decodeOperation } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import type { RowStore } from '../store/row-store.ts'
import { concat, EMPTY, fromLatin1, readU64be, u64be } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import { decodeLogRow, decodeRepositoryRow, idRange, SPACES } from './rows.ts'
import type { LogRow, RepositoryRow } from './rows.ts'

/** Reads what this node holds of repositories, as peers ask for it (replication design 2.8). Rows, never memory. */
export class OperationReader {
  readonly #rows: RowStore

  constructor(rows: RowStore) {
    this.#rows = rows
  }

  /** Repositories in order of id, after that of `after`. */
  async *repositories(
    after: Uint8Array = new Uint8Array(0),
    options: AbortOptions = {},
  ): AsyncGenerator<RepositoryRow & { readonly id: Uint8Array }> {
    for await (const [id, row] of this.#rows.rows(SPACES.repositories, { gt: after }, options)) {
      yield { id, ...decodeRepositoryRow(row) }
    }
  }

  repository(id: Uint8Array): RepositoryRow | undefined {
    const row = this.#rows.get(SPACES.repositories, id)
    return row && decodeRepositoryRow(row)
  }

  async logs(repository: Uint8Array): Promise<Array<LogRow & { readonly id: Uint8Array }>> {
    const logs: Array<LogRow & { readonly id: Uint8Array }> = []
    for await (const log of this.logsAfter(repository)) logs.push(log)
    return logs
  }

  /** Logs of a repository in order of id, after that of `after`. */
  async *logsAfter(
    repository: Uint8Array,
    after: Uint8Array = EMPTY,
  ): AsyncGenerator<LogRow & { readonly id: Uint8Array }> {
    const range = { ...idRange(repository), gt: concat([repository, after]) }
    for await (const [key, row] of this.#rows.rows(SPACES.logs, range)) {
      yield { id: key.subarray(32), ...decodeLogRow(row) }
    }
  }

  /** Bytes of a log's operations, all branches, from a sequence number on. */
  async *operations(
    log: Uint8Array,
    fromSequence: number,
    options: AbortOptions = {},
  ): AsyncGenerator<Uint8Array> {
    const range = { ...idRange(log), gte: concat([log, u64be(fromSequence)]) }
    for await (const [, bytes] of this.#rows.rows(SPACES.operations, range, options)) yield bytes
  }

  holds(operation: Uint8Array): boolean {
    return this.#rows.get(SPACES.places, operation) !== undefined
  }

  /** The logs that changed after change number `since`, oldest first; each stands there once. */
  async *changes(
    since: number,
    options: AbortOptions = {},
  ): AsyncGenerator<{ readonly number: number; readonly repository: Uint8Array; readonly log: Uint8Array }> {
    for await (const [key, value] of this.#rows.rows(SPACES.changes, { gt: u64be(since) }, options)) {
      yield { number: readU64be(key), repository: value.subarray(0, 32), log: value.subarray(32) }
    }
  }

  /** Number of the latest change, 0 when there is none. */
  async lastChange(): Promise<number> {
    for await (const [key] of this.#rows.rows(SPACES.changes, { reverse: true, limit: 1 }))
      return readU64be(key)
    return 0
  }
}

/** All operations of some logs, each log's in order. */
export async function* readOperations(
  rows: RowStore,
  logs: Iterable<string>,
  options: AbortOptions = {},
): AsyncGenerator<SignedOperation> {
  for (const log of logs) {
    for await (const [, bytes] of rows.rows(SPACES.operations, idRange(fromLatin1(log)), options)) {
      yield decodeOperation(bytes)
    }
  }
}
