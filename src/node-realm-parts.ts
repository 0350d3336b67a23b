/** The realm among the parts of a node: who it is there, and what its operator does with it. */
import type { Config } from './config.ts'
import type { DataFolder } from './data-folder.ts'
import { signingKey } from './format/ed25519.ts'
import { Joiner } from './node-joiner.ts'
import { NodeRealm } from './node-realm.ts'
import type { PeerHost } from './net/peer-host.ts'
import { openIdentity, type Identity } from './repo/identity.ts'
import type { Invites } from './repo/invites.ts'
import { openSeed } from './repo/keys.ts'
import { moveContent, type Moved } from './repo/move.ts'
import { openOwnRealm, type OwnRealm } from './repo/own-realm.ts'
import { PendingJoin } from './repo/pending-join.ts'
import type { RealmAdmin } from './repo/realm-admin.ts'
import type { Realm } from './repo/realm.ts'
import { rotateIfDue } from './repo/rotation.ts'
import { whyCutOff } from './repo/standing.ts'
import type { Tokens } from './repo/tokens.ts'
import type { Database } from './store/database.ts'
import { RowFlistStore } from './store/row-flist-store.ts'
import type { RowStore } from './store/row-store.ts'
import { serveJoin } from './sync/join.ts'
import type { Replicated } from './sync/replicated.ts'
import { toHex } from './util/bytes.ts'
import type { Parts } from './util/lifecycle.ts'
import type { Logger } from './util/logger.ts'

export interface RealmParts {
  readonly folder: DataFolder
  readonly database: { readonly rows: RowStore }
  readonly identity: Identity
  readonly realm: Realm
  readonly realmAdmin: RealmAdmin
  /** What came along into the realm at this opening. */
  readonly moved: Moved | undefined
  readonly tokens: Tokens
  readonly invites: Invites
}

export interface RealmOptions {
  readonly clock?: () => number
  readonly log: Logger
  readonly isPublic: boolean
  /** Opens the node again, once the request under way has been answered. */
  readonly reopen: () => void
  readonly replicated: Replicated
  /** Where guests come to join; absent for a node alone. */
  readonly host?: PeerHost | undefined
  /** How often the parts of this node have been opened since it started. */
  readonly generation: number
}

/** Who this node is and in which realm; what a change of either has left to do is done first. */
export async function openInRealm(
  database: Pick<Database, 'rows' | 'chunks'>,
  directory: string,
  { clock, log }: { readonly clock: () => number; readonly log: Logger },
): Promise<OwnRealm & { readonly identity: Identity; readonly moved: Moved | undefined }> {
  const { rows, chunks } = database
  const identity = await openIdentity(rows, { directory, clock })
  const own = await openOwnRealm(rows, identity, { directory, clock })
  const { realm } = own
  if (await rotateIfDue(rows, realm, identity, { directory, clock })) {
    return await openInRealm(database, directory, { clock, log })
  }
  const flists = new RowFlistStore(rows, chunks)
  const holds = (id: Uint8Array) => flists.numberOf(id) !== undefined
  const moved = await moveContent({ rows, identity, clock, authority: realm.governance, holds })
  if (moved !== undefined) log.info('this node is in another realm', { realm: toHex(realm.id), ...moved })
  return { ...own, moved, identity: { ...identity, rootVersion: realm.governance.root.version } }
}

/** What the operator does with the realm; a node that serves goes on asking where an invite is pending. */
export async function openNodeRealm(
  parts: Parts,
  config: Config,
  { folder, database: { rows }, identity, realm, realmAdmin: admin, tokens, invites, moved }: RealmParts,
  { clock = Date.now, log, isPublic, reopen, replicated, host, generation }: RealmOptions,
): Promise<NodeRealm> {
  const { node, tokenSeed } = identity
  const pending = new PendingJoin(rows)
  const joiner = await parts.open(
    'joiner',
    () =>
      new Joiner({
        rows,
        farm: config.farm,
        seed: () => openSeed(folder.keys, 'node.key'),
        node: node.publicKey,
        tokenKey: signingKey(tokenSeed).publicKey,
        realm: realm.id,
        pending,
        reopen,
        log,
      }),
    (opened) => opened.stop(),
  )
  if (isPublic) joiner.start()
  await parts.open(
    'standing',
    () => watchStanding(realm, node.publicKey, log),
    (unsubscribe) => unsubscribe(),
  )
  const directory = folder.keys
  const addresses = () => replicated.addresses
  const hasPeers = () => replicated.peers().some(({ connected }) => connected)
  const own = { config, rows, realm, admin, identity, tokens, directory, clock, isPublic, generation, moved }
  const nodeRealm = new NodeRealm({ ...own, invites, pending, joiner, addresses, hasPeers, reopen })
  if (host !== undefined) {
    serveJoin(host, {
      admit: (guest, request) => nodeRealm.admit(guest, request),
      records: () => [...realm.items()].map(({ bytes }) => bytes),
      log,
    })
  }
  return nodeRealm
}

/** Says in the log when what this node signs ceases to count, and when it counts again. */
function watchStanding(realm: Realm, node: Uint8Array, log: Logger): () => void {
  let why: string | undefined
  const look = () => {
    const before = why
    why = whyCutOff(realm.governance, node)
    if (why !== undefined && before === undefined) log.error(why)
    if (why === undefined && before !== undefined)
      log.info('what this node signs counts again: the cut was taken back')
  }
  look()
  return realm.subscribe(look)
}
