/** What the operator does with the realm of this node, and what others may know of it. */
import { hostname } from 'node:os'
import type { Config } from './config.ts'
import { ConflictError, ForbiddenError, InvalidInputError, UnavailableError } from './errors.ts'
import { signingKey } from './format/ed25519.ts'
import { formatInvite, MAX_INVITE_ADDRESSES, parseInvite } from './format/invite.ts'
import type { JoinRequest } from './format/join-message.ts'
import type { RealmOperator } from './http/deps.ts'
import type { Joiner } from './node-joiner.ts'
import { ownAddresses, withPeer } from './node-addresses.ts'
import type { Identity } from './repo/identity.ts'
import type { Invites } from './repo/invites.ts'
import { openSeed } from './repo/keys.ts'
import { GovernanceSet } from './repo/governance-set.ts'
import { enterChanges, ownRoot } from './repo/realm-change.ts'
import type { Moved } from './repo/move.ts'
import type { PendingJoin } from './repo/pending-join.ts'
import { RealmAdmin } from './repo/realm-admin.ts'
import { openRealmKeys } from './repo/realm-keys.ts'
import { Realm } from './repo/realm.ts'
import { logEndsOf, rotationChange } from './repo/rotation.ts'
import type { Tokens } from './repo/tokens.ts'
import type { RowStore } from './store/row-store.ts'
import { MemoryRowStore } from './store/memory-row-store.ts'
import { equalBytes, toHex } from './util/bytes.ts'
import { systemScheduler } from './util/scheduler.ts'
import { SECOND_MS } from './util/units.ts'

export interface NodeRealmDeps {
  readonly config: Config
  readonly rows: RowStore
  readonly realm: Realm
  readonly admin: RealmAdmin
  readonly identity: Identity
  readonly invites: Invites
  readonly pending: PendingJoin
  readonly joiner: Joiner
  readonly tokens: Pick<Tokens, 'shareRevocations'>
  /** The folder of keys. */
  readonly directory: string
  readonly clock: () => number
  /** Multiaddrs at which peers reach this node, while it has some; each with `/p2p/…`. */
  readonly addresses: () => readonly string[]
  /** Is anybody connected? */
  readonly hasPeers: () => boolean
  /** Serves others, so it can go over to another realm by itself; else the next `serve` does. */
  readonly isPublic: boolean
  /** How often the parts of this node have been opened since it started. */
  readonly generation: number
  /** What came along into this realm when they were. */
  readonly moved: Moved | undefined
  /** Opens the parts of the node again, once the request under way has been answered. */
  readonly reopen: () => void
}

/** How long members may take to hear that this node leaves. */
const FAREWELL_MS = 3 * SECOND_MS

export class NodeRealm implements RealmOperator {
  readonly #deps: NodeRealmDeps
  readonly #stopping = new AbortController()

  constructor(deps: NodeRealmDeps) {
    this.#deps = deps
  }

  /** Nothing that an operator asked for waits for another node any more. */
  stop(): void {
    this.#stopping.abort()
    void this.#deps.joiner.stop()
  }

  status(): object {
    const { realm, admin, identity, pending } = this.#deps
    const { name, root, hasRootConflict, members } = realm.governance
    return {
      realm: toHex(realm.id),
      name,
      shared: realm.isShared,
      node: toHex(identity.node.publicKey),
      mayAdmit: admin.mayAdmit,
      rootVersion: root.version,
      rootConflict: hasRootConflict,
      joining: pending.get() !== undefined,
      generation: this.#deps.generation,
      moved: this.#deps.moved ?? null,
      members: members.map((member) => ({
        node: toHex(member.node),
        name: member.name,
        roles: member.isAdmin ? [...member.roles, 'admin'] : member.roles,
        state: !member.isCut ? 'member' : member.hasLeft ? 'left' : 'cut',
        added: member.addedS,
      })),
    }
  }

  async create({ name, node, addresses = [] }: Parameters<RealmOperator['create']>[0]): Promise<object> {
    const { admin, tokens, realm } = this.#deps
    const own = [...addresses, ...this.#ownAddresses()].slice(0, MAX_INVITE_ADDRESSES)
    await admin.create(name ?? nodeName(), { name: node ?? nodeName(), addresses: own })
    await tokens.shareRevocations()
    return this.#reopened({ realm: toHex(realm.id), name: realm.governance.name })
  }

  async invite(addresses: readonly string[]): Promise<object> {
    const { realm, admin, invites, identity } = this.#deps
    if (!realm.isShared)
      throw new ConflictError('this node is in no realm with others: zhub realm create first')
    if (!admin.mayAdmit) {
      throw new ForbiddenError(
        'this node may not admit others: invite on one that does, or have that one run zhub realm add-admin for this node',
      )
    }
    const { peerIdOf } = await import('./net/peer-key.ts')
    const peer = String(peerIdOf(identity.node.publicKey))
    const reachable = this.#deps.addresses()
    const all = [...addresses, ...(reachable.length > 0 ? reachable : this.#ownAddresses())]
    const found = [...new Set(all.map((address) => withPeer(address, peer)))].slice(0, MAX_INVITE_ADDRESSES)
    if (found.length === 0) {
      throw new InvalidInputError('nobody could reach this node: say where with --address /ip4/…/tcp/…')
    }
    const { secret, expiresS } = await invites.create()
    const invite = formatInvite({ realm: realm.id, addresses: found, secret, expiresS })
    return { invite, expires: expiresS, addresses: found }
  }

  async join({ invite, node }: Parameters<RealmOperator['join']>[0]): Promise<object> {
    const { config, realm, identity, pending, joiner, isPublic, generation } = this.#deps
    if (!config.auth) {
      throw new ForbiddenError('a node with authentication off cannot join: everybody could sign in its name')
    }
    const { realm: wanted } = parseInvite(invite)
    const { members, isMember } = realm.governance
    const isIn = isMember(identity.node.publicKey)
    if (equalBytes(wanted, realm.id) && isIn) throw new ConflictError('this node is in that realm already')
    if (isIn && members.some((one) => !one.isCut && !equalBytes(one.node, identity.node.publicKey))) {
      throw new ConflictError('this node is in a realm with others: zhub realm leave first')
    }
    await pending.set(invite, node ?? nodeName())
    if (!isPublic) return { realm: toHex(wanted), state: 'stored' }
    try {
      const joined = await joiner.attempt()
      return {
        realm: toHex(wanted),
        name: joined?.governance.name ?? '',
        state: 'joined',
        reopensAfter: generation,
      }
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      joiner.start()
      return { realm: toHex(wanted), state: 'waiting', why: error.message }
    }
  }

  async leave(): Promise<object> {
    const { realm, admin, rows, hasPeers } = this.#deps
    if (!realm.isShared) throw new ConflictError('this node is in no realm with others')
    await admin.leave()
    // A node that is told to stop leaves without waiting.
    const { signal } = this.#stopping
    if (hasPeers()) await systemScheduler.sleep(FAREWELL_MS, { signal }).catch(() => {})
    const own = await this.#newRealm()
    await rows.write(enterChanges(realm.id, own))
    return this.#reopened({ left: toHex(realm.id), realm: toHex(own.id) })
  }

  async cut(node: string): Promise<object> {
    const { admin, rows } = this.#deps
    const member = admin.find(node)
    const ends = await logEndsOf(rows, member.node)
    await admin.cut(member.node, ends)
    return { node: toHex(member.node), name: member.name, logs: ends.length }
  }

  async uncut(node: string): Promise<object> {
    const { admin } = this.#deps
    const member = admin.find(node)
    await admin.uncut(member.node)
    return { node: toHex(member.node), name: member.name }
  }

  async addAdmin(node: string): Promise<object> {
    const { admin } = this.#deps
    const member = admin.find(node)
    await admin.addAdmin(member.node)
    return { node: toHex(member.node), name: member.name }
  }

  async rotate(): Promise<object> {
    const { admin, rows, identity, isPublic } = this.#deps
    if (!admin.mayAdmit) {
      throw new ForbiddenError(
        'this node may not change its key by itself: have an administrator run zhub realm add-admin for it',
      )
    }
    await rows.write([rotationChange()])
    const answer = { node: toHex(identity.node.publicKey), state: isPublic ? 'done' : 'stored' }
    return this.#reopened(answer)
  }

  /** A guest with a secret, or a member that did not hear the answer. */
  async admit(node: Uint8Array, { realm: wanted, secret, ...newcomer }: JoinRequest): Promise<void> {
    const { realm, admin, invites } = this.#deps
    if (!equalBytes(wanted, realm.id)) throw new ForbiddenError('the invite is for another realm')
    if (realm.governance.isMember(node)) return
    await invites.use(secret, async (burn) => {
      await admin.admit({ node, ...newcomer }, [burn])
    })
  }

  async #newRealm(): Promise<GovernanceSet> {
    const { directory, clock, rows, identity } = this.#deps
    const rootKey = signingKey(await openSeed(directory, 'root.key'))
    const nodesKey = signingKey(await openSeed(directory, 'nodes.key'))
    const root = ownRoot(rows, { rootKey, nodesKey }, Math.floor(clock() / SECOND_MS))
    const realm = new Realm(new MemoryRowStore(), new GovernanceSet(root))
    const { node, tokenSeed } = identity
    const keys = await openRealmKeys(directory, node)
    const tokenKey = signingKey(tokenSeed).publicKey
    await new RealmAdmin({ realm, node, tokenKey, keys, clock }).admitSelf()
    return new GovernanceSet(root, realm.items())
  }

  #ownAddresses(): string[] {
    const { farm } = this.#deps.config
    return [...ownAddresses(farm)]
  }

  #reopened(answer: object): object {
    const { isPublic, reopen, generation } = this.#deps
    if (!isPublic) return answer
    reopen()
    return { ...answer, reopensAfter: generation }
  }
}

/** What the node is called where nobody says otherwise. */
function nodeName(): string {
  const name = hostname().replace(/[^\w.-]/g, '')
  return name === '' ? 'node' : name.slice(0, 63)
}
