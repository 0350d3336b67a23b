import { HubError } from '../errors.ts'
import { MAX_ADDRESSES } from '../net/peer-book.ts'
import type { KnownPeer, PeerBook } from '../net/peer-book.ts'
import { RowReader, RowWriter } from '../repo/row-codec.ts'
import type { RowChange, RowStore } from '../store/row-store.ts'
import type { AbortOptions } from '../util/units.ts'

/** Public key → version, last seen, number of addresses, addresses: SYNC.md, *Rows*. */
const SPACE = 'peer'

export class RowPeerBook implements PeerBook {
  readonly #rows: RowStore

  constructor(rows: RowStore) {
    this.#rows = rows
  }

  async all(options: AbortOptions = {}): Promise<KnownPeer[]> {
    const known: KnownPeer[] = []
    for await (const [peer, row] of this.#rows.rows(SPACE, {}, options)) {
      try {
        known.push({ peer, ...decode(row) })
      } catch (error) {
        if (!(error instanceof HubError)) throw error // a hint that is damaged, or of a later release, is none
      }
    }
    return known
  }

  async put(peers: readonly KnownPeer[]): Promise<void> {
    await this.#rows.write(
      peers.map((known): RowChange => ({ type: 'put', space: SPACE, key: known.peer, value: encode(known) })),
    )
  }

  async delete(peers: readonly Uint8Array[]): Promise<void> {
    await this.#rows.write(peers.map((key): RowChange => ({ type: 'delete', space: SPACE, key })))
  }
}

function encode({ addresses, seenMs }: KnownPeer): Uint8Array {
  const kept = addresses.slice(0, MAX_ADDRESSES)
  const writer = new RowWriter(1).integer(seenMs, 6).integer(kept.length, 1)
  for (const address of kept) writer.text(address)
  return writer.end()
}

function decode(row: Uint8Array): Omit<KnownPeer, 'peer'> {
  const reader = new RowReader(row, 'peer', 1)
  const seenMs = reader.integer(6)
  return { seenMs, addresses: Array.from({ length: reader.integer(1) }, () => reader.text()) }
}
