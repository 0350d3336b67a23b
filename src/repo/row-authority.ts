import { HubError } from '../errors.ts'
import { decodeRecord } from '../format/governance-record.ts'
import type { RowStore } from '../store/row-store.ts'
import { equalBytes } from '../util/bytes.ts'
import type { Authority } from './authority.ts'
import { governanceKey } from './identity.ts'
import { SPACES } from './rows.ts'

/** Every node that a record of this folder admits may write, and all it wrote counts. */
export function rowAuthority(rows: RowStore): Authority {
  return {
    isAdmitted: (node) => {
      const row = rows.get(SPACES.governance, governanceKey.node(node))
      return row !== undefined && isNodeRecord(row, node)
    },
    limitsOf: () => 'all',
  }
}

function isNodeRecord(row: Uint8Array, node: Uint8Array): boolean {
  try {
    const { record } = decodeRecord(row)
    return record.type === 'node.add' && equalBytes(record.node, node)
  } catch (error) {
    if (error instanceof HubError) return false
    throw error
  }
}
