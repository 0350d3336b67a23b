import { createHash } from 'node:crypto'
import { decodeCbor, encodeCbor } from '../../src/format/dag-cbor.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import type { SigningKey } from '../../src/format/ed25519.ts'
import type { Limits } from '../../src/repo/authority.ts'
import type { Change } from '../../src/repo/entry.ts'
import { OperationReader } from '../../src/repo/operation-reader.ts'
import { openRepositories } from '../../src/repo/repositories.ts'
import type { SignedRepositories } from '../../src/repo/repositories.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { createReplicator } from '../../src/sync/create-replicator.ts'
import type { ReplicatedRealm } from '../../src/sync/create-replicator.ts'
import type { Replicator } from '../../src/sync/replicator.ts'
import type { GovernanceRecords } from '../../src/sync/sync-answers.ts'
import { compareBytes, equalBytes, toHex } from '../../src/util/bytes.ts'
import { SILENT } from '../../src/util/logger.ts'
import { CrashingRows } from '../doubles/crashing-rows.ts'
import type { SimulatedHost, SimulatedNetwork } from '../doubles/simulated-network.ts'
import { holdsOf } from '../../src/sync/subscription.ts'
import type { SimulatedSite } from './simulated-site.ts'
import { ALICE } from '../repo/a-repository.ts'
import { REALM, TestAuthority } from '../repo/several-nodes.ts'

/** A decision of the test's realm: what of a node still counts. */
export interface Cut {
  readonly node: Uint8Array
  /** By log id in hex. */
  readonly ends: ReadonlyMap<string, { readonly sequence: number; readonly hash: Uint8Array }>
}

export function encodeCut({ node, ends }: Cut): Uint8Array {
  return encodeCbor({
    node,
    ends: [...ends].map(([log, { sequence, hash }]) => [log, sequence, hash]),
  })
}

/** Governance of the test's own: cuts, which say what counts. */
class TestGovernance implements GovernanceRecords {
  readonly records: Map<string, Uint8Array>
  readonly listeners = new Set<() => void>()
  readonly #authority: TestAuthority

  constructor(records: Map<string, Uint8Array>, authority: TestAuthority) {
    this.records = records
    this.#authority = authority
    this.#apply()
  }

  digest(): Uint8Array {
    const hash = createHash('sha256')
    for (const one of this.hashes()) hash.update(one)
    return hash.digest()
  }

  hashes(): Uint8Array[] {
    return [...this.records.keys()].map((hex) => Buffer.from(hex, 'hex')).sort(compareBytes)
  }

  get(hash: Uint8Array): Uint8Array | undefined {
    return this.records.get(toHex(hash))
  }

  add(records: readonly Uint8Array[]): void {
    for (const record of records) this.records.set(createHash('sha256').update(record).digest('hex'), record)
    this.#apply()
    for (const listener of this.listeners) listener()
  }

  #apply(): void {
    const cuts = new Map<string, Array<Map<string, Limits>>>()
    for (const record of this.records.values()) {
      const cut = decodeCbor(record, { format: 'cut', maxBytes: 1e6 }) as unknown as {
        node: Uint8Array
        ends: Array<[string, number, Uint8Array]>
      }
      const ends = new Map<string, Limits>(
        cut.ends.map(([log, sequence, hash]) => [log, [{ sequence, hash }]]),
      )
      cuts.set(toHex(cut.node), [...(cuts.get(toHex(cut.node)) ?? []), ends])
    }
    this.#authority.limits.clear()
    for (const [node, all] of cuts) this.#authority.limits.set(node, (log) => join(all, toHex(log)))
  }
}

/** Each cut applies. */
function join(cuts: ReadonlyArray<ReadonlyMap<string, Limits>>, log: string): Limits {
  const limits = cuts.map((ends) => ends.get(log) ?? 'none')
  return limits.includes('none') ? 'none' : limits.flatMap((one) => (typeof one === 'string' ? [] : one))
}

/** A node with repositories and replication, on a simulated network, that can crash and be restored. */
export class SimulatedNode {
  readonly key: SigningKey
  readonly #network: SimulatedNetwork
  readonly #members: readonly Uint8Array[]
  disk = new MemoryRowStore()
  readonly site: SimulatedSite | undefined
  incarnation: Uint8Array
  skewMs = 0
  isRunning = false
  repositories!: SignedRepositories
  readonly authority = new TestAuthority()
  log = SILENT
  readonly #records = new Map<string, Uint8Array>()
  #governance = new TestGovernance(this.#records, this.authority)
  #host: SimulatedHost | undefined
  replicator: Replicator | undefined
  #rows: CrashingRows | undefined
  #renewals = 0

  /** With `site`, flists and chunks are kept and fetched too. */
  constructor(network: SimulatedNetwork, seed: number, members: readonly Uint8Array[], site?: SimulatedSite) {
    this.site = site
    this.key = keyOf(seed)
    this.#network = network
    this.#members = members
    this.incarnation = new Uint8Array(8).fill(seed)
    for (const member of members) this.authority.admitted.add(toHex(member))
  }

  get reader(): OperationReader {
    return new OperationReader(this.disk)
  }

  async start(): Promise<void> {
    const { simulation } = this.#network
    const rows = new CrashingRows(this.disk, simulation)
    this.#rows = rows
    const clock = () => simulation.now() + this.skewMs
    const identity = {
      node: this.key,
      tokenSeed: new Uint8Array(32),
      realm: REALM,
      rootVersion: 1,
      incarnation: this.incarnation,
      isRestored: false,
      exposed: [],
    }
    this.site?.open(rows, clock)
    const holds = this.site && holdsOf(this.site.subscription, this.site.flists)
    const repositories = await openRepositories({
      rows,
      identity,
      clock,
      authority: () => this.authority,
      ...(holds && { holds }),
    })
    this.repositories = repositories
    const host = this.#network.host(this.key.publicKey)
    this.#host = host
    const shared = {
      host,
      realm: this.#realm(),
      rows,
      repositories,
      scheduler: simulation,
      log: this.log,
      clock,
    }
    if (this.site === undefined) this.replicator = createReplicator(shared)
    await host.start()
    this.isRunning = true
    this.replicator?.start()
    this.site?.start(shared)
    void repositories.recount(this.#members).catch(() => {})
    void this.#dial(host)
  }

  #realm(): ReplicatedRealm {
    const governance = this.#governance
    const isMember = (peer: Uint8Array) => this.#members.some((member) => equalBytes(member, peer))
    return {
      id: REALM,
      governance: {
        isAdmitted: (node) => this.authority.isAdmitted(node),
        limitsOf: (node, log) => this.authority.limitsOf(node, log),
        isMember,
        members: this.#members.map((node) => ({ node, name: '', addresses: [], isCut: false })),
      },
      digest: () => governance.digest(),
      hashes: () => governance.hashes(),
      get: (hash) => governance.get(hash),
      receive: async (records) => {
        governance.add(records)
        await this.repositories.recount(this.#members)
      },
      subscribe: (listener) => {
        governance.listeners.add(listener)
        return () => governance.listeners.delete(listener)
      },
    }
  }

  /** Tries every member that is not connected, every second or so. */
  async #dial(host: SimulatedHost): Promise<void> {
    const { simulation } = this.#network
    while (host.isRunning) {
      for (const member of this.#members) {
        if (!equalBytes(member, this.key.publicKey))
          await host.connect(`/sim/${toHex(member)}`).catch(() => {})
      }
      await simulation.sleep(500 + 1000 * simulation.random())
    }
  }

  /** At once; what had not landed on the disk is gone. */
  crash(): void {
    if (!this.isRunning) return
    this.isRunning = false
    this.#rows?.die()
    void this.#host?.stop()
    void this.replicator?.stop().catch(() => {})
    this.site?.stop()
  }

  /** An older disk is put back. A folder whose boot marker shows it takes a new incarnation. */
  restore(disk: MemoryRowStore, isNoticed: boolean): void {
    this.disk = disk
    this.#renewals++
    if (isNoticed)
      this.incarnation = Uint8Array.from(this.incarnation, (byte) => byte ^ (0x40 + this.#renewals))
  }

  apply(changes: readonly Change[]): Promise<unknown> {
    return this.repositories.apply('r', changes, ALICE)
  }

  /** The realm decides, and tells this node. */
  decide(record: Uint8Array): void {
    this.#governance.add([record])
    if (this.isRunning) void this.repositories.recount(this.#members).catch(() => {})
  }

  /** Does it know what the realm has decided? */
  knows(record: Uint8Array): boolean {
    return [...this.#records.values()].some((one) => equalBytes(one, record))
  }

  hurry(): void {
    this.replicator?.hurry()
  }
}

const keys = new Map<number, SigningKey>()

export function keyOf(seed: number): SigningKey {
  const key = keys.get(seed) ?? signingKey(new Uint8Array(32).fill(seed))
  keys.set(seed, key)
  return key
}
