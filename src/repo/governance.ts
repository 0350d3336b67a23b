import { createHash } from 'node:crypto'
import type { GovernanceRecord, LogEndpoint, NodeAdd, SignedRecord } from '../format/governance-record.ts'
import { isSignedBy } from '../format/root-document.ts'
import type { RootDocument, SignedRoot } from '../format/root-document.ts'
import { compareBytes, equalBytes, toHex } from '../util/bytes.ts'
import type { Authority, Limits, LogLimit } from './authority.ts'

/** A node of the realm, or one that was. */
export interface Member {
  readonly node: Uint8Array
  readonly tokenKey: Uint8Array
  readonly name: string
  readonly roles: readonly string[]
  readonly addresses: readonly string[]
  /** Unix seconds. */
  readonly addedS: number
  /** May not connect any more, and its tokens are void. */
  readonly isCut: boolean
  /** Only itself has cut it: it left, and may come back. */
  readonly hasLeft: boolean
  /** Its node key signs administrative records. */
  readonly isAdmin: boolean
  /** Hashes of the cuts that stand, in order. */
  readonly cuts: readonly Uint8Array[]
}

/** Role of a member: what it signs counts. */
export const WRITER = 'writer'
/** Role of the member that made the realm: keys of the root document that are no node's are its. */
export const FOUNDER = 'founder'

/**
 * What the root documents and records of a realm mean together: a pure function of the set of them, so that neither
 * order nor repetition of their arrival plays a part (invariant I2).
 */
export interface Governance extends Authority {
  readonly realm: Uint8Array
  /** The newest one that counts. */
  readonly root: RootDocument
  /** What the next version names as the one before. */
  readonly rootHash: Uint8Array
  readonly name: string
  /** Two different documents claim one version: what came before them counts, and an operator must look. */
  readonly hasRootConflict: boolean
  /** May connect, and its tokens are good: admitted and not cut. */
  isMember(node: Uint8Array): boolean
  /** Everybody ever admitted, in order of key. */
  readonly members: readonly Member[]
  member(node: Uint8Array): Member | undefined
  /** Is a token void? `token` is its id, `issuedS` when it was made. */
  isRevoked(token: Uint8Array, user: string, issuedS: number): boolean
  /** Must a flist not exist on any member? */
  isPurged(flist: Uint8Array): boolean
  /** Ids of all such flists. */
  readonly purged: readonly Uint8Array[]
}

type Typed<T extends GovernanceRecord['type']> = SignedRecord & {
  readonly record: Extract<GovernanceRecord, { type: T }>
}

/** `first`: version 1 of the root, which made the realm. Whatever does not count is passed over. */
export function governanceOf(
  first: SignedRoot,
  roots: Iterable<SignedRoot>,
  records: Iterable<SignedRecord>,
): Governance {
  const { newest, hasConflict } = newestRoot(first, [...roots])
  const { root } = newest
  const ofRealm = unique(records).filter(({ record }) => equalBytes(record.realm, first.id))
  const byAdmins = ofRealm.filter(({ record }) =>
    root.roles.nodes.keys.some((key) => equalBytes(key, record.signer)),
  )
  const cuts = standingCuts(
    byAdmins,
    of(ofRealm, 'node.cut').filter(({ record }) => isLeave(record)),
  )
  const members = membersOf(of(byAdmins, 'node.add'), { cuts, admins: root.roles.nodes.keys })
  const byNode = new Map(members.map((member) => [toHex(member.node), member]))
  const member = (node: Uint8Array) => byNode.get(toHex(node))
  const isMember = (node: Uint8Array) => member(node)?.isCut === false
  const purged = new Map(
    of(byAdmins, 'flist.purge').map(({ record: { flist } }) => [toHex(flist), flist] as const),
  )
  return {
    realm: first.id,
    root,
    rootHash: newest.hash,
    name: latest(of(byAdmins, 'realm.name'))?.record.name ?? '',
    hasRootConflict: hasConflict,
    members,
    member,
    isAdmitted: (node) => byNode.has(toHex(node)),
    isMember,
    limitsOf: (node, log) =>
      member(node)?.roles.includes(WRITER) === true ? limitsOf(cuts.get(toHex(node)) ?? [], log) : 'none',
    isRevoked: revocations([
      ...of(byAdmins, 'token.revoke'),
      ...of(ofRealm, 'token.revoke').filter(({ record: { signer } }) => mayRevoke(member(signer))),
    ]),
    isPurged: (flist) => purged.has(toHex(flist)),
    purged: [...purged.values()].sort(compareBytes),
  }
}

/** Nodes about whose operations two states of one realm do not say the same. */
export function judgedAnew(before: Governance, after: Governance): Uint8Array[] {
  const verdicts = ({ members }: Governance) =>
    new Map(
      members.map(({ node, roles, cuts }) => [
        toHex(node),
        { node, verdict: [roles.includes(WRITER), ...cuts.map(toHex)].join() },
      ]),
    )
  const [old, now] = [verdicts(before), verdicts(after)]
  const changed = [...now].filter(([id, { verdict }]) => old.get(id)?.verdict !== verdict)
  const gone = [...old].filter(([id]) => !now.has(id))
  return [...changed, ...gone].map(([, { node }]) => node)
}

/** A node that leaves cuts itself, and takes nothing back of what it signed: a thief of its key could do no worse. */
export function isLeave({ signer, node, others, ends }: Typed<'node.cut'>['record']): boolean {
  return equalBytes(signer, node) && others === 'all' && ends.length === 0
}

/** What a member revoked stays void after it has left; what one that was cut revokes is not believed. */
function mayRevoke(signer: Member | undefined): boolean {
  return signer !== undefined && (!signer.isCut || signer.hasLeft)
}

function revocations(records: ReadonlyArray<Typed<'token.revoke'>>): Governance['isRevoked'] {
  const tokens = new Set<string>()
  const users = new Map<string, number>()
  for (const { record } of records) {
    if (record.token !== undefined) tokens.add(toHex(record.token))
    if (record.user !== undefined) {
      users.set(record.user, Math.max(record.untilS, users.get(record.user) ?? 0))
    }
  }
  return (token, user, issuedS) => tokens.has(toHex(token)) || issuedS <= (users.get(user) ?? -1)
}

/** Equal on two nodes that hold the same root documents and records; 32 bytes. */
export function governanceDigest(hashes: Iterable<Uint8Array>): Uint8Array {
  const digest = createHash('sha256').update('zhub-gov-set-1')
  for (const hash of [...hashes].sort(compareBytes)) digest.update(hash)
  return digest.digest()
}

/**
 * The chain of versions as far as it is one: each next one is signed by the root keys of the one before it and by its own
 * (which was checked when it was read). As The Update Framework has it, 5.3.
 */
function newestRoot(
  first: SignedRoot,
  roots: readonly SignedRoot[],
): { newest: SignedRoot; hasConflict: boolean } {
  let newest = first
  for (;;) {
    const { hash, root } = newest
    const next = new Map<string, SignedRoot>()
    for (const one of roots) {
      const { version, previous } = one.root
      if (version !== root.version + 1 || previous === undefined || !equalBytes(previous, hash)) continue
      if (isSignedBy(one, root.roles.root)) next.set(toHex(one.hash), one)
    }
    const [follower, other] = [...next.values()]
    if (follower === undefined) return { newest, hasConflict: false }
    if (other !== undefined && distinct(next.values()) > 1) return { newest, hasConflict: true }
    newest = smallest(next.values()) ?? follower
  }
}

/** How many documents there are, whoever signed them. */
function distinct(roots: Iterable<SignedRoot>): number {
  return new Set([...roots].map(({ id }) => toHex(id))).size
}

/** One document with other signatures is another hash: the smallest counts, on every node. */
function smallest(roots: Iterable<SignedRoot>): SignedRoot | undefined {
  return [...roots].sort((a, b) => compareBytes(a.hash, b.hash))[0]
}

type Cuts = ReadonlyMap<string, ReadonlyArray<Typed<'node.cut'>>>

/** Cuts that nobody took back, by node. */
function standingCuts(byAdmins: readonly SignedRecord[], leaves: ReadonlyArray<Typed<'node.cut'>>): Cuts {
  const takenBack = new Set(of(byAdmins, 'node.uncut').map(({ record }) => toHex(record.cut)))
  const cuts = new Map<string, Array<Typed<'node.cut'>>>()
  for (const cut of unique([...of(byAdmins, 'node.cut'), ...leaves])) {
    if (takenBack.has(toHex(cut.hash))) continue
    const node = toHex(cut.record.node)
    cuts.set(node, [...(cuts.get(node) ?? []), cut])
  }
  return cuts
}

interface Standing {
  readonly cuts: Cuts
  readonly admins: readonly Uint8Array[]
}

/** Of several records that add one node the latest tells its name, addresses and token key. */
function membersOf(adds: ReadonlyArray<Typed<'node.add'>>, standing: Standing): Member[] {
  const byNode = new Map<string, Array<Typed<'node.add'>>>()
  for (const add of adds)
    byNode.set(toHex(add.record.node), [...(byNode.get(toHex(add.record.node)) ?? []), add])
  const members = [...byNode.values()].flatMap((same): Member[] => {
    const record = latest(same)?.record
    return record === undefined ? [] : [memberOf(record, standing)]
  })
  return members.sort((a, b) => compareBytes(a.node, b.node))
}

function memberOf(
  { node, tokenKey, name, roles, addresses, issuedS }: NodeAdd & { readonly issuedS: number },
  { cuts, admins }: Standing,
): Member {
  const own = cuts.get(toHex(node)) ?? []
  return {
    node,
    tokenKey,
    name,
    roles,
    addresses,
    addedS: issuedS,
    isCut: own.length > 0,
    hasLeft: own.length > 0 && own.every(({ record }) => isLeave(record)),
    isAdmin: admins.some((key) => equalBytes(key, node)),
    cuts: own.map(({ hash }) => hash).sort(compareBytes),
  }
}

/** Every cut applies: a log is limited by each of them. */
function limitsOf(cuts: ReadonlyArray<Typed<'node.cut'>>, log: Uint8Array): Limits {
  const limits: LogLimit[] = []
  for (const {
    record: { ends, others },
  } of cuts) {
    const end = endOf(ends, log)
    if (end !== undefined) limits.push({ sequence: end.sequence, hash: end.hash })
    else if (others === 'none') return 'none'
  }
  return limits.length === 0 ? 'all' : limits
}

/** By halving: they are in order. */
function endOf(ends: readonly LogEndpoint[], log: Uint8Array): LogEndpoint | undefined {
  let low = 0
  let high = ends.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const end = ends[middle]
    if (end === undefined) return undefined
    const order = compareBytes(end.log, log)
    if (order === 0) return end
    if (order < 0) low = middle + 1
    else high = middle - 1
  }
  return undefined
}

/** The last by its own time, then by hash: the same everywhere. */
function latest<T extends SignedRecord>(records: readonly T[]): T | undefined {
  return [...records].sort((a, b) => b.record.issuedS - a.record.issuedS || compareBytes(b.hash, a.hash))[0]
}

function unique<T extends SignedRecord>(records: Iterable<T>): T[] {
  return [...new Map([...records].map((one) => [toHex(one.hash), one])).values()]
}

function of<T extends GovernanceRecord['type']>(records: readonly SignedRecord[], type: T): Array<Typed<T>> {
  return records.filter((one): one is Typed<T> => one.record.type === type)
}
