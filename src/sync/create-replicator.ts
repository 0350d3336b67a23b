import type { Authority } from '../repo/authority.ts'
import type { Member } from '../repo/governance.ts'
import type { Clock } from '../repo/hybrid-clock.ts'
import { OperationReader } from '../repo/operation-reader.ts'
import type { SignedRepositories } from '../repo/repositories.ts'
import type { ServedFlists } from '../store/flist-store.ts'
import type { RowStore } from '../store/row-store.ts'
import type { PeerHost } from '../net/peer-host.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { Replicator } from './replicator.ts'
import { ownHello, stateDigest, syncAnswers } from './sync-answers.ts'
import type { GovernanceRecords } from './sync-answers.ts'

/** What replication needs of the realm that this node is in. */
export interface ReplicatedRealm extends GovernanceRecords {
  readonly id: Uint8Array
  /** As it is now. */
  readonly governance: Authority & {
    isMember(node: Uint8Array): boolean
    /** Must a flist not exist? Absent = none is purged. */
    isPurged?(flist: Uint8Array): boolean
    readonly members: ReadonlyArray<Pick<Member, 'node' | 'name' | 'addresses' | 'isCut'>>
  }
  /** Checks records and keeps them; sees to it that what they change is judged anew. */
  receive(records: readonly Uint8Array[]): Promise<unknown>
  /** Tells of each change, whoever made it. Answers how to end that. */
  subscribe(listener: () => void): () => void
}

export interface ReplicatorParts {
  readonly host: PeerHost
  readonly realm: ReplicatedRealm
  readonly rows: RowStore
  /** Whose descriptors and chunk lists peers are given. */
  readonly flists?: ServedFlists
  readonly repositories: SignedRepositories
  readonly scheduler: Scheduler
  readonly log: Logger
  readonly clock: Clock
  readonly onPulled?: () => void
}

/** A replicator over what this node keeps: its operations and the records of its realm. */
export function createReplicator({
  host,
  realm,
  rows,
  flists,
  repositories,
  scheduler,
  log,
  clock,
  onPulled = () => {},
}: ReplicatorParts): Replicator {
  const operations = new OperationReader(rows)
  const state = stateDigest(operations, () => repositories.totalRevision)
  const governance = {
    digest: () => realm.digest(),
    hashes: () => realm.hashes(),
    get: (hash: Uint8Array) => realm.get(hash),
    receive: async (records: readonly Uint8Array[]) => void (await realm.receive(records)),
  }
  const own = {
    realm: realm.id,
    database: Uint8Array.from({ length: 16 }, () => 256 * scheduler.random()),
    operations,
    governance,
    state,
    object: (id: Uint8Array) => flists?.object(id),
    now: clock,
  }
  return new Replicator({
    host,
    answers: syncAnswers(own),
    hello: () => ownHello(own),
    scheduler,
    log,
    isMember: (peer) => realm.governance.isMember(peer),
    onChange: (listener) => {
      const ends = [repositories.subscribe(listener), realm.subscribe(listener)]
      return () => ends.forEach((end) => end())
    },
    onPulled,
    replica: {
      realm: realm.id,
      operations,
      authority: () => realm.governance,
      repositories,
      governance,
      state,
    },
  })
}
