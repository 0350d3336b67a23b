/**
 * A node's part among peers: the libp2p host, who is kept connected, what is exchanged. Loaded only where a realm is
 * shared: libp2p takes 0.4 s and 90 MB.
 */
import type { FarmSettings } from './config.ts'
import { signingKey } from './format/ed25519.ts'
import { repositoryId } from './format/operation.ts'
import { Connector } from './net/connector.ts'
import { Dht } from './net/dht.ts'
import type { Admission } from './net/gate.ts'
import { HeadGossip } from './net/gossip.ts'
import { openLibp2pHost } from './net/libp2p-host.ts'
import type { NetworkHost } from './net/libp2p-host.ts'
import type { HostPart } from './net/libp2p-node.ts'
import { mdnsPart } from './net/mdns.ts'
import { keysOf } from './net/peer-key.ts'
import { OperationReader } from './repo/operation-reader.ts'
import type { Realm } from './repo/realm.ts'
import { Replication } from './sync/replication.ts'
import type { ReplicationDeps } from './sync/replication.ts'
import { RowPeerBook } from './sync/row-peer-book.ts'
import { equalBytes } from './util/bytes.ts'
import { every } from './util/every.ts'
import type { Parts } from './util/lifecycle.ts'
import { systemScheduler as scheduler } from './util/scheduler.ts'
import { MINUTE_MS, SECOND_MS } from './util/units.ts'

export interface ReplicationParts extends Omit<ReplicationDeps, 'host' | 'realm' | 'scheduler'> {
  readonly realm: Realm
  /** Of the node's key. */
  readonly seed: Uint8Array
  /** Who else may come for a moment: to join. */
  readonly guests?: Pick<Admission, 'admitsGuest'> | undefined
}

export interface Farm {
  readonly host: NetworkHost
  readonly replication: Replication
}

/** For a node that was cut to hear of it, over the channels that it has. */
const FAREWELL_MS = 2 * SECOND_MS
const PROVIDE_EVERY_MS = 5 * MINUTE_MS

/** Opens in this order: who answers must be there before anybody is called. They close in reverse. */
export async function openReplication(
  parts: Parts,
  settings: FarmSettings,
  { seed, guests, ...deps }: ReplicationParts,
): Promise<Farm> {
  const { realm, rows, log } = deps
  const dht = new Dht({ scheduler, log }, { realm: realm.id, isServer: true })
  const gossip = new HeadGossip({ key: signingKey(seed), realm: realm.id, scheduler, log })
  let connector: Connector | undefined
  const local = settings.mdns ? [mdnsPart(realm.id, (found) => connector?.hint(found))] : []
  const host = await parts.open(
    'peers',
    () => openHost(settings, { seed, guests, realm, parts: [dht, gossip, ...local] }),
    (opened) => opened.stop(),
  )
  const replication = await parts.open(
    'replication',
    () => new Replication({ ...deps, host, scheduler }, settings),
    (opened) => opened.stop(),
  )
  replication.start()
  await host.start()
  await parts.open(
    'DHT',
    () => dht.start(),
    () => dht.stop(),
  )
  connector = await parts.open(
    'connector',
    () => {
      const members = () => realm.governance.members.filter(({ isCut }) => !isCut)
      const book = new RowPeerBook(rows)
      return new Connector({ host, book, scheduler, log, members, finders: [dht] }, settings)
    },
    (opened) => opened.stop(),
  )
  await connector.start()
  await openHints(parts, { gossip, replication, ...deps })
  await openUpkeep(parts, { host, connector, dht, replication, ...deps })
  return { host, replication }
}

function openHost(
  { listen, announce, bootstrap }: FarmSettings,
  {
    seed,
    guests,
    realm,
    parts,
  }: Pick<ReplicationParts, 'seed' | 'guests' | 'realm'> & {
    readonly parts: readonly HostPart[]
  },
): Promise<NetworkHost> {
  const guides = keysOf(bootstrap)
  return openLibp2pHost({
    seed,
    listen,
    announce,
    parts,
    farewellMs: FAREWELL_MS,
    admits: (peer) => realm.governance.isMember(peer),
    admitsGuest: (peer) =>
      guides.some((key) => equalBytes(key, peer)) || guests?.admitsGuest?.(peer) === true,
  })
}

interface Hints extends Pick<ReplicationParts, 'realm' | 'rows' | 'repositories' | 'log'> {
  readonly gossip: HeadGossip
  readonly replication: Replication
}

/** What changes here is told to members that are no neighbours, too; what they tell is asked for. */
async function openHints(
  parts: Parts,
  { gossip, replication, realm, rows, repositories, log }: Hints,
): Promise<void> {
  const operations = new OperationReader(rows)
  const announce = async (name: string) => {
    const repository = repositoryId(realm.id, name)
    const digest = operations.repository(repository)?.digest
    if (digest !== undefined) gossip.announce([{ repository, digest }], await operations.lastChange())
  }
  gossip.subscribe(({ node }) => replication.hear(node))
  await parts.open(
    'hints',
    () => {
      gossip.start()
      return repositories.subscribe((name) => {
        announce(name).catch((error: unknown) => log.debug(`a change was not announced: ${String(error)}`))
      })
    },
    async (unsubscribe) => {
      unsubscribe()
      await gossip.stop()
    },
  )
}

interface Upkeep extends Farm, Pick<ReplicationParts, 'realm' | 'log'> {
  readonly connector: Connector
  readonly dht: Dht
}

/** What follows changes: who was cut is shown out at once, who was added is called, the DHT is told what is here. */
async function openUpkeep(
  parts: Parts,
  { host, connector, dht, replication, realm, log }: Upkeep,
): Promise<void> {
  const failed = (what: string) => (error: unknown) => log.error(what, {}, error)
  await parts.open(
    'membership',
    () =>
      realm.subscribe(() => {
        void host.review().catch(failed('showing out who is no member'))
        void connector.review().catch(failed('calling members'))
      }),
    (unsubscribe) => unsubscribe(),
  )
  const provide = async () => {
    const held = (await replication.repositories()).filter((one) => one.held)
    dht.provide(held.map(({ name }) => repositoryId(realm.id, name)))
  }
  await parts.open(
    'providing',
    () => every(PROVIDE_EVERY_MS, provide, failed('telling what is held')),
    (task) => task.stop(),
  )
}
