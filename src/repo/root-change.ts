/** The next version of a root document, and what must be signed anew because of it. */
import { ForbiddenError } from '../errors.ts'
import type { GovernanceRecord } from '../format/governance-record.ts'
import { ROLE_NAMES, signRoot } from '../format/root-document.ts'
import type { Role, RoleName, RootDocument, SignedRoot } from '../format/root-document.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import { FOUNDER } from './governance.ts'
import type { Governance, Member } from './governance.ts'
import type { Realm } from './realm.ts'
import type { RealmKeys } from './realm-keys.ts'

type Roles = RootDocument['roles']

export function withKey(roles: Roles, key: Uint8Array): Roles {
  return mapRoles(roles, ({ keys, threshold }) => ({ keys: [...keys, key], threshold }))
}

/**
 * The roles without the keys of a member; `undefined` when it has none. Those of a founder are all that are no other
 * member's: its first keys are no node's.
 * @throws {ForbiddenError} when nobody would be left.
 */
export function withoutKeys({ root, members }: Governance, member: Member): Roles | undefined {
  const others = members.filter(({ isCut, node }) => !isCut && !equalBytes(node, member.node))
  const isFounder = member.roles.includes(FOUNDER)
  const stays = (key: Uint8Array) =>
    isFounder ? others.some(({ node }) => equalBytes(node, key)) : !equalBytes(key, member.node)
  const isTouched = ROLE_NAMES.some((name) => !root.roles[name].keys.every(stays))
  if (!isTouched) return undefined
  return mapRoles(root.roles, ({ keys, threshold }) => {
    const left = keys.filter(stays)
    if (left.length < threshold) {
      throw new ForbiddenError('without that node nobody could admit nodes: zhub realm add-admin NODE first')
    }
    return { keys: left, threshold }
  })
}

/** The same rights for another key, as when a node changes its own. */
export function withKeyInPlace(roles: Roles, old: Uint8Array, key: Uint8Array): Roles {
  return mapRoles(roles, ({ keys, threshold }) => ({
    keys: keys.map((one) => (equalBytes(one, old) ? key : one)),
    threshold,
  }))
}

function mapRoles(roles: Roles, change: (role: Role) => Role): Roles {
  const changed: Record<RoleName, Role> = { ...roles }
  for (const name of ROLE_NAMES) changed[name] = change(roles[name])
  return changed
}

/** @throws {ForbiddenError} when too few root keys are here. */
export function nextRoot({ governance }: Realm, roles: Roles, keys: RealmKeys, issuedS: number): SignedRoot {
  const { root, rootHash } = governance
  const signers = [keys.signersOf(root.roles.root), keys.signersOf(roles.root)]
  const [before, after] = signers
  if (before === undefined || after === undefined) {
    throw new ForbiddenError('this node may not do that: it holds no root key of the realm')
  }
  const unique = new Map([...before, ...after].map((key) => [toHex(key.publicKey), key]))
  return signRoot({ version: root.version + 1, previous: rootHash, roles, issuedS }, [...unique.values()])
}

/** What counts now and would not under the next root, as its signers are not in it. */
export function lapsing(realm: Realm, next: RootDocument): GovernanceRecord[] {
  const { governance } = realm
  const standing = new Set(governance.members.flatMap(({ cuts }) => cuts.map(toHex)))
  const isSigner = ({ root }: { root: RootDocument }, { signer }: GovernanceRecord) =>
    root.roles.nodes.keys.some((key) => equalBytes(key, signer))
  const lapsing: GovernanceRecord[] = []
  for (const item of realm.items()) {
    if ('root' in item) continue
    const { record, hash } = item
    if (!isSigner(governance, record) || isSigner({ root: next }, record)) continue
    if (counts(governance, record, standing.has(toHex(hash)))) lapsing.push(record)
  }
  return lapsing
}

function counts(governance: Governance, record: GovernanceRecord, isStandingCut: boolean): boolean {
  switch (record.type) {
    case 'node.add':
      return governance.member(record.node)?.addedS === record.issuedS
    case 'node.cut':
      return isStandingCut
    case 'realm.name':
      return governance.name === record.name
    case 'node.uncut':
    case 'flist.purge':
    case 'token.revoke':
      return true
  }
}
