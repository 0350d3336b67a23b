/** Another key for the node, as it is carried out at a start: nobody signs with the old one meanwhile. */
import { signingKey } from '../format/ed25519.ts'
import type { LogEndpoint } from '../format/governance-record.ts'
import type { RowChange, RowStore } from '../store/row-store.ts'
import { compareBytes, equalBytes, fromUtf8, readU64be } from '../util/bytes.ts'
import type { Identity, IdentityOptions } from './identity.ts'
import { nodeKeyChange } from './identity.ts'
import { openSeed } from './keys.ts'
import { RealmAdmin } from './realm-admin.ts'
import { openRealmKeys } from './realm-keys.ts'
import type { Realm } from './realm.ts'
import { decodeLogRow, SPACES } from './rows.ts'

const ROTATING = fromUtf8('rotating')

/** At the next start this node takes another key. */
export function rotationChange(): RowChange {
  return { type: 'put', space: SPACES.own, key: ROTATING, value: new Uint8Array(0) }
}

/**
 * Does what `rotationChange` asked for; true when the identity must be read again. The new key lies beside the old one
 * until the realm knows it; then the identity's next reading takes it.
 */
export async function rotateIfDue(
  rows: RowStore,
  realm: Realm,
  { node, tokenSeed }: Identity,
  { directory, clock }: IdentityOptions,
): Promise<boolean> {
  if (rows.get(SPACES.own, ROTATING) === undefined) return false
  const next = signingKey(await openSeed(directory, 'node.key.next'))
  const keys = await openRealmKeys(directory, node, next)
  const admin = new RealmAdmin({ realm, node, tokenKey: signingKey(tokenSeed).publicKey, keys, clock })
  await admin.rotate(next.publicKey, await logEndsOf(rows, node.publicKey), [
    nodeKeyChange(next.publicKey),
    { type: 'delete', space: SPACES.own, key: ROTATING },
  ])
  return true
}

/** The last operation known here of each log of a node, in order of log; of one that has forked the longest branch. */
export async function logEndsOf(rows: RowStore, node: Uint8Array): Promise<LogEndpoint[]> {
  const ends: LogEndpoint[] = []
  for await (const [key, row] of rows.rows(SPACES.logs)) {
    const { author, heads } = decodeLogRow(row)
    if (!equalBytes(author, node)) continue
    const log = Uint8Array.from(key.subarray(32))
    const places = heads.flatMap((hash) => {
      const place = rows.get(SPACES.places, hash)
      return place === undefined ? [] : [{ log, sequence: readU64be(place, 32), hash }]
    })
    const [last] = places.sort((a, b) => b.sequence - a.sequence || compareBytes(a.hash, b.hash))
    if (last !== undefined) ends.push(last)
  }
  return ends.sort((a, b) => compareBytes(a.log, b.log))
}
