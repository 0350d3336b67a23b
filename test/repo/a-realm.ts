import { signingKey } from '../../src/format/ed25519.ts'
import type { SigningKey } from '../../src/format/ed25519.ts'
import { signRoot } from '../../src/format/root-document.ts'
import type { SignedRoot } from '../../src/format/root-document.ts'
import type { Governance } from '../../src/repo/governance.ts'
import { RealmAdmin } from '../../src/repo/realm-admin.ts'
import { RealmKeys } from '../../src/repo/realm-keys.ts'
import { openRealm } from '../../src/repo/realm.ts'
import type { Realm } from '../../src/repo/realm.ts'
import { itemChange } from '../../src/repo/realm.ts'
import { toHex } from '../../src/util/bytes.ts'
import { MapRows } from '../doubles/map-rows.ts'
import { TestClock } from './a-repository.ts'

export const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)
export const keyOf = (byte: number): SigningKey => signingKey(filled(32, byte))

/** The root document and first keys of a realm that a test makes. */
export function firstRoot(rootKey = keyOf(1), nodesKey = keyOf(2), issuedS = 1): SignedRoot {
  const nodes = { keys: [nodesKey.publicKey], threshold: 1 }
  const roles = { root: { keys: [rootKey.publicKey], threshold: 1 }, nodes, names: nodes }
  return signRoot({ version: 1, previous: undefined, roles, issuedS }, [rootKey])
}

export interface RealmNode {
  readonly key: SigningKey
  readonly tokenKey: SigningKey
  readonly rows: MapRows
  readonly realm: Realm
  readonly admin: RealmAdmin
  readonly clock: TestClock
}

/** A node that holds the first root document, with its own key and `keys`. */
export async function realmNode(
  root: SignedRoot,
  key: SigningKey,
  keys: readonly SigningKey[] = [],
  rows = new MapRows(),
): Promise<RealmNode> {
  const clock = new TestClock()
  await rows.write([itemChange(root.id, root)])
  const realm = await openRealm(rows, root.id)
  const tokenKey = signingKey(key.publicKey)
  const admin = new RealmAdmin({
    realm,
    node: key,
    tokenKey: tokenKey.publicKey,
    keys: new RealmKeys([key, ...keys]),
    clock: clock.read,
  })
  return { key, tokenKey, rows, realm, admin, clock }
}

/** A founder, and nodes that it has admitted; all know everything. */
export async function farm(count: number): Promise<[founder: RealmNode, ...others: RealmNode[]]> {
  const root = firstRoot()
  const founder = await realmNode(root, keyOf(10), [keyOf(2), keyOf(1)])
  await founder.admin.admitSelf()
  await founder.admin.create('farm', { name: 'node0', addresses: [] })
  const others: RealmNode[] = []
  for (let number = 1; number < count; number++) {
    const node = await realmNode(root, keyOf(10 + number))
    await founder.admin.admit(newcomer(node, `node${number}`))
    others.push(node)
  }
  const nodes: [RealmNode, ...RealmNode[]] = [founder, ...others]
  await exchange(nodes)
  return nodes
}

export function newcomer({ key, tokenKey }: RealmNode, name: string) {
  return { node: key.publicKey, tokenKey: tokenKey.publicKey, name, addresses: [] }
}

/** Everybody gets everything. */
export async function exchange(nodes: readonly RealmNode[]): Promise<void> {
  const all = nodes.flatMap(({ realm }) => [...realm.items()].map(({ bytes }) => bytes))
  for (const { realm } of nodes) await realm.receive(all)
}

/** What a test compares of a governance: everything it answers about some nodes, logs and tokens. */
export function summary(governance: Governance, nodes: readonly Uint8Array[]): string {
  const { root, rootHash, name, hasRootConflict, members, purged } = governance
  const logs = [filled(32, 50), filled(32, 51)]
  const answers = nodes.map((node) => [
    governance.isAdmitted(node),
    governance.isMember(node),
    logs.map((log) => {
      const limits = governance.limitsOf(node, log)
      return typeof limits === 'string'
        ? limits
        : limits.map(({ sequence, hash }) => `${sequence} ${toHex(hash)}`).sort()
    }),
  ])
  const tokens = [1, 2].flatMap((byte) =>
    [1, 5, 9].map((issuedS) => governance.isRevoked(filled(8, byte), `user${byte}`, issuedS)),
  )
  const all = { root, rootHash, name, hasRootConflict, members, purged, answers, tokens }
  return JSON.stringify(all, (_, value: unknown) => (value instanceof Uint8Array ? toHex(value) : value))
}
