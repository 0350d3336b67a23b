/** The acts of a node in its realm: what it signs, and who may. */
import { ConflictError, ForbiddenError, InvalidInputError, NotFoundError } from '../errors.ts'
import type { SigningKey } from '../format/ed25519.ts'
import { signRecord } from '../format/governance-record.ts'
import type { GovernanceRecord, LogEndpoint, NodeAdd, SignedRecord } from '../format/governance-record.ts'
import type { RowChange } from '../store/row-store.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import { SECOND_MS } from '../util/units.ts'
import { FOUNDER, WRITER } from './governance.ts'
import type { Governance, Member } from './governance.ts'
import type { Clock } from './hybrid-clock.ts'
import type { Realm } from './realm.ts'
import type { RealmKeys } from './realm-keys.ts'
import { lapsing, nextRoot, withKey, withKeyInPlace, withoutKeys } from './root-change.ts'

export interface RealmAdminDeps {
  readonly realm: Realm
  readonly node: SigningKey
  /** Public key of the tokens that this node makes. */
  readonly tokenKey: Uint8Array
  readonly keys: RealmKeys
  readonly clock: Clock
}

/** Who wants to be a node of the realm. */
export type Newcomer = Pick<NodeAdd, 'node' | 'tokenKey' | 'name' | 'addresses'>

/** What only this record says, without what all have. */
type Own = GovernanceRecord extends infer R
  ? R extends GovernanceRecord
    ? Omit<R, 'realm' | 'rootVersion' | 'issuedS' | 'signer'>
    : never
  : never

const MAX_NAME_BYTES = 64

export class RealmAdmin {
  readonly #realm: Realm
  readonly #node: SigningKey
  readonly #tokenKey: Uint8Array
  readonly #keys: RealmKeys
  readonly #clock: Clock

  constructor({ realm, node, tokenKey, keys, clock }: RealmAdminDeps) {
    this.#realm = realm
    this.#node = node
    this.#tokenKey = tokenKey
    this.#keys = keys
    this.#clock = clock
  }

  /** May this node admit others, cut them, and name the realm? */
  get mayAdmit(): boolean {
    return this.#keys.signersOf(this.#realm.governance.root.roles.nodes) !== undefined
  }

  /** At the first start: makes this node a writer of the realm that it has just made. */
  async admitSelf(): Promise<void> {
    const { governance } = this.#realm
    if (governance.isAdmitted(this.#node.publicKey) || !this.mayAdmit) return
    await this.#sign(() => [addition(this.#self('', []), [WRITER])])
  }

  /** Names the realm, and this node in it: from then on others may come. */
  async create(name: string, self: Pick<Newcomer, 'name' | 'addresses'>): Promise<void> {
    checkName(name)
    checkName(self.name)
    await this.#sign((state) => {
      if (state.name !== '') throw new ConflictError(`this node is in the realm ${state.name} already`)
      const add = addition(this.#self(self.name, self.addresses), [WRITER, FOUNDER])
      return [{ type: 'realm.name', name }, add]
    })
  }

  /**
   * Admits a node, and again one that had left. `also`: rows of the same batch.
   * @throws {ForbiddenError} for one that was cut.
   */
  async admit(newcomer: Newcomer, also: readonly RowChange[] = []): Promise<Member> {
    checkName(newcomer.name)
    await this.#sign((state) => {
      const known = state.member(newcomer.node)
      if (known?.isCut === true && !known.hasLeft) {
        throw new ForbiddenError('that node was cut off this realm: uncut it first')
      }
      const back = (known?.cuts ?? []).map((cut): Own => ({ type: 'node.uncut', cut }))
      const name = freeName(state, newcomer)
      return [...back, addition({ ...newcomer, name }, known?.roles ?? [WRITER])]
    }, also)
    const member = this.#realm.governance.member(newcomer.node)
    if (member === undefined) throw new ConflictError('the node was not admitted')
    return member
  }

  /**
   * What the node signed after `ends` counts nowhere any more, its tokens are void, and nobody talks to it. When it was
   * an administrator, its keys are taken from the root document, and what they signed so far is signed anew.
   */
  async cut(node: Uint8Array, ends: readonly LogEndpoint[]): Promise<readonly Uint8Array[]> {
    return await this.#act((state) => {
      const member = memberOf(state, node)
      if (equalBytes(node, this.#node.publicKey)) {
        throw new InvalidInputError('a node does not cut itself: zhub realm leave')
      }
      if (member.isCut && !member.hasLeft) throw new ConflictError('that node is cut already')
      const cut: Own = { type: 'node.cut', node, others: 'none', ends }
      const kept = this.#confirmed(node)
      const roles = withoutKeys(state, member)
      if (roles === undefined) return this.#records(state, [cut, ...kept])
      const root = nextRoot(this.#realm, roles, this.#keys, this.#nowS())
      const anew = lapsing(this.#realm, root.root)
      return [root.bytes, ...this.#records({ ...state, root: root.root }, [cut, ...kept, ...anew])]
    })
  }

  /** Takes back every cut of a node. */
  async uncut(node: Uint8Array): Promise<readonly Uint8Array[]> {
    return await this.#sign((state) => {
      const { cuts } = memberOf(state, node)
      if (cuts.length === 0) throw new ConflictError('that node is not cut')
      return cuts.map((cut): Own => ({ type: 'node.uncut', cut }))
    })
  }

  /** A node that may do what this one may. */
  async addAdmin(node: Uint8Array): Promise<void> {
    await this.#act((state) => {
      const member = memberOf(state, node)
      if (member.isCut) throw new ConflictError('that node was cut, or has left')
      if (member.isAdmin) throw new ConflictError('that node is an administrator already')
      return [nextRoot(this.#realm, withKey(state.root.roles, node), this.#keys, this.#nowS()).bytes]
    })
  }

  /**
   * This node goes; all it signed stays.
   * @throws {ConflictError} for the last one that may admit, while others are there.
   */
  async leave(): Promise<void> {
    await this.#act((state) => {
      const own = this.#node.publicKey
      const others = state.members.filter(({ isCut, node }) => !isCut && !equalBytes(node, own))
      if (
        this.mayAdmit &&
        others.length > 0 &&
        !others.some(({ isAdmin, roles }) => isAdmin || roles.includes(FOUNDER))
      ) {
        throw new ConflictError('no other node may admit nodes: zhub realm add-admin NODE first')
      }
      const leave: Own = { type: 'node.cut', node: own, others: 'all', ends: [] }
      return [this.#record(state, leave, this.#node).bytes]
    })
  }

  /** From now on no member keeps this flist, or takes it again. @throws {ForbiddenError} where this node may not say so. */
  async purge(flist: Uint8Array): Promise<void> {
    await this.#sign((state) => (state.isPurged(flist) ? [] : [{ type: 'flist.purge', flist }]))
  }

  /**
   * Another key for this node, which then signs in its place: `ends` are the last operations of the old one. `also`: rows
   * of the same batch. What needs the new key is signed with it: it is among this node's keys already.
   */
  async rotate(next: Uint8Array, ends: readonly LogEndpoint[], also: readonly RowChange[]): Promise<void> {
    await this.#act((state) => {
      const old = this.#node.publicKey
      const { tokenKey, name, addresses, roles } = memberOf(state, old)
      const add = addition({ node: next, tokenKey, name, addresses }, roles)
      const cut: Own = { type: 'node.cut', node: old, others: 'none', ends }
      const own = [add, cut, ...this.#confirmed(old)]
      if (!memberOf(state, old).isAdmin) return this.#records(state, own)
      const root = nextRoot(
        this.#realm,
        withKeyInPlace(state.root.roles, old, next),
        this.#keys,
        this.#nowS(),
      )
      const anew = lapsing(this.#realm, root.root)
      return [root.bytes, ...this.#records({ ...state, root: root.root }, [...own, ...anew])]
    }, also)
  }

  /** Voids tokens by id, or all of a user that were made up to now, on every member. */
  async revoke(
    what: ReadonlyArray<{ readonly token: Uint8Array } | { readonly user: string }>,
  ): Promise<void> {
    await this.#act((state) =>
      what.map(
        (one) =>
          this.#record(state, { type: 'token.revoke', untilS: this.#nowS(), ...one }, this.#node).bytes,
      ),
    )
  }

  /** A node by its name, or by the beginning of its key in hex. */
  find(nameOrKey: string): Member {
    const { members } = this.#realm.governance
    const byName = members.filter(({ name }) => name === nameOrKey)
    const byKey = /^[0-9a-f]{4,64}$/.test(nameOrKey)
      ? members.filter(({ node }) => toHex(node).startsWith(nameOrKey))
      : []
    const found = [...new Set([...byName, ...byKey])]
    const [one, other] = found
    if (one === undefined)
      throw new NotFoundError(`no node ${nameOrKey} in this realm: zhub realm status lists them`)
    if (other !== undefined) {
      throw new InvalidInputError(`several nodes are ${nameOrKey}: name the first digits of the key`)
    }
    return one
  }

  async #sign(decide: (state: Governance) => readonly Own[], also: readonly RowChange[] = []) {
    return await this.#act((state) => this.#records(state, decide(state)), also)
  }

  async #act(decide: (state: Governance) => readonly Uint8Array[], also: readonly RowChange[] = []) {
    return await this.#realm.act((state) => ({ records: decide(state), also }))
  }

  #records(state: Governance, own: readonly Own[]): Uint8Array[] {
    const key = this.#keys.signersOf(state.root.roles.nodes)?.[0]
    if (key === undefined) {
      throw new ForbiddenError(
        'this node may not do that: it holds no key of the role nodes. Do it on one that does, or have that one run zhub realm add-admin for this node',
      )
    }
    return own.map((record) => this.#record(state, record, key).bytes)
  }

  #record(state: Governance, own: Own, key: SigningKey): SignedRecord {
    // Of two records that add one node the later counts.
    const beforeS = own.type === 'node.add' ? (state.member(own.node)?.addedS ?? 0) : 0
    const issuedS = Math.max(this.#nowS(), beforeS + 1)
    return signRecord({ ...own, realm: state.realm, rootVersion: state.root.version, issuedS }, key)
  }

  #self(name: string, addresses: readonly string[]): Newcomer {
    return { node: this.#node.publicKey, tokenKey: this.#tokenKey, name, addresses }
  }

  /** What a node revoked until now stays void: who cuts it says so in its place. */
  #confirmed(node: Uint8Array): Own[] {
    const own: Own[] = []
    for (const item of this.#realm.items()) {
      if ('root' in item || item.record.type !== 'token.revoke') continue
      if (!equalBytes(item.record.signer, node)) continue
      const { type, untilS, token, user } = item.record
      own.push({ type, untilS, ...(token && { token }), ...(user !== undefined && { user }) })
    }
    return own
  }

  #nowS(): number {
    return Math.floor(this.#clock() / SECOND_MS)
  }
}

function addition({ node, tokenKey, name, addresses }: Newcomer, roles: readonly string[]): Own {
  return { type: 'node.add', node, tokenKey, name, addresses, roles }
}

function memberOf(state: Governance, node: Uint8Array): Member {
  const member = state.member(node)
  if (member === undefined) throw new NotFoundError(`no node ${toHex(node)} in this realm`)
  return member
}

/** A name by which commands can tell the node from the others. */
function freeName({ members }: Governance, { node, name }: Newcomer): string {
  const taken = new Set(
    members.filter((one) => !one.isCut && !equalBytes(one.node, node)).map((one) => one.name),
  )
  for (let number = 1; number <= members.length; number++) {
    const free = number === 1 ? name : `${name}-${number}`
    if (!taken.has(free)) return free
  }
  return `${name}-${members.length + 1}`
}

/** @throws {InvalidInputError} for a name that lists and logs could not show. */
function checkName(name: string): void {
  const isFit = /^[^\p{C}\p{Z}](?:[^\p{C}\p{Zl}\p{Zp}]*[^\p{C}\p{Z}])?$/u.test(name)
  if (!isFit || Buffer.byteLength(name) > MAX_NAME_BYTES || name !== name.normalize('NFC')) {
    throw new InvalidInputError(
      `a name has 1 to ${MAX_NAME_BYTES} bytes, no control characters, no space at its ends`,
    )
  }
}
