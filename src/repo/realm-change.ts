/** How a data folder goes over from one realm to another: the rows that say so, and a realm of one's own. */
import { ForbiddenError, HubError, MalformedError } from '../errors.ts'
import type { HubErrorCode } from '../errors.ts'
import { signRoot } from '../format/root-document.ts'
import type { SignedRoot } from '../format/root-document.ts'
import type { SigningKey } from '../format/ed25519.ts'
import type { RowChange, RowStore } from '../store/row-store.ts'
import { concat, equalBytes, fromUtf8 } from '../util/bytes.ts'
import { governanceKey, SPACES } from './rows.ts'
import { decodeItem, GovernanceSet } from './governance-set.ts'
import { createIncarnation, incarnationChange, realmChange } from './identity.ts'
import { itemChange } from './realm.ts'

/** The realm whose content is still to be republished in the one that the folder is in now. */
const MOVING = fromUtf8('moving')
/** 'former/' and a realm that the folder was in. */
const FORMER = fromUtf8('former/')
const AFTER_FORMER = fromUtf8('former0')

/**
 * What an inviter sent, checked: the root document that makes the realm, and that this node was admitted.
 * @throws {MalformedError | ForbiddenError | LimitError} when it is not the realm that the invite names.
 */
export function readRealm(id: Uint8Array, node: Uint8Array, records: readonly Uint8Array[]): GovernanceSet {
  const first = records.map(decodeFirst).find((root) => root !== undefined && equalBytes(root.id, id))
  if (first === undefined) throw new MalformedError('realm', 'the inviter did not send the root of its realm')
  const empty = new GovernanceSet(first)
  const set = empty.with(empty.sift(records))
  if (!set.governance.isMember(node)) throw new ForbiddenError('the inviter did not admit this node')
  return set
}

function decodeFirst(bytes: Uint8Array): SignedRoot | undefined {
  const item = decodeItem(bytes)
  return 'root' in item && item.root.version === 1 ? item : undefined
}

/**
 * The folder is in that realm from the next open on, which also moves its content there. It signs under a new
 * incarnation: in a realm that it comes back to, its logs must not go on where they ended.
 */
export function enterChanges(from: Uint8Array, to: GovernanceSet): RowChange[] {
  return [
    realmChange(to.id),
    incarnationChange(createIncarnation()),
    { type: 'put', space: SPACES.own, key: MOVING, value: from },
    ...[...to.items()].map((item) => itemChange(to.id, item)),
  ]
}

/** The realm that content is still to come from. */
export function movingFrom(rows: RowStore): Uint8Array | undefined {
  return rows.get(SPACES.own, MOVING)
}

/** Everything has come over. */
export function movedChanges(from: Uint8Array): RowChange[] {
  return [
    { type: 'delete', space: SPACES.own, key: MOVING },
    { type: 'put', space: SPACES.own, key: concat([FORMER, from]), value: new Uint8Array(0) },
  ]
}

/** Realms that this folder was in before. */
export async function formerRealms(rows: RowStore): Promise<Uint8Array[]> {
  const realms: Uint8Array[] = []
  for await (const [key] of rows.rows(SPACES.own, { gte: FORMER, lt: AFTER_FORMER })) {
    realms.push(key.subarray(FORMER.length))
  }
  return realms
}

/** A root document with this node's own first keys, which makes a realm that was not there before. */
export function ownRoot(
  rows: RowStore,
  { rootKey, nodesKey }: { readonly rootKey: SigningKey; readonly nodesKey: SigningKey },
  nowS: number,
): SignedRoot {
  const nodes = { keys: [nodesKey.publicKey], threshold: 1 }
  const roles = { root: { keys: [rootKey.publicKey], threshold: 1 }, nodes, names: nodes }
  for (let issuedS = nowS; ; issuedS++) {
    const root = signRoot({ version: 1, previous: undefined, roles, issuedS }, [rootKey])
    if (rows.get(SPACES.governance, governanceKey(root.id, root.hash)) === undefined) return root
  }
}

const FINAL: ReadonlySet<HubErrorCode> = new Set([
  'HUB_FORBIDDEN',
  'HUB_CONFLICT',
  'HUB_INVALID_INPUT',
  'HUB_MALFORMED',
  'HUB_LIMIT',
])

/** Will the same invite be refused again? */
export function isFinal(error: unknown): boolean {
  return error instanceof HubError && FINAL.has(error.code)
}
