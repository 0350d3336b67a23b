/**
 * A node's part among peers: the libp2p host, who is kept connected, what is exchanged. Loaded only where a realm is
 * shared: libp2p takes 0.4 s and 90 MB.
 */
import type { FarmSettings } from './config.ts'
import { repositoryId } from './format/operation.ts'
import { Connector } from './net/connector.ts'
import { Dht } from './net/dht.ts'
import type { Admission } from './net/gate.ts'
import { openLibp2pHost } from './net/libp2p-host.ts'
import type { NetworkHost } from './net/libp2p-host.ts'
import { keysOf } from './net/peer-key.ts'
import type { Realm } from './repo/realm.ts'
import { Replication } from './sync/replication.ts'
import type { ReplicationDeps } from './sync/replication.ts'
import { RowPeerBook } from './sync/row-peer-book.ts'
import { equalBytes } from './util/bytes.ts'
import { every } from './util/every.ts'
import type { Parts } from './util/lifecycle.ts'
import { systemScheduler as scheduler } from './util/scheduler.ts'
import { MINUTE_MS } from './util/units.ts'

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

const PROVIDE_EVERY_MS = 5 * MINUTE_MS

/** Opens in this order: who answers must be there before anybody is called. They close in reverse. */
export async function openReplication(
  parts: Parts,
  settings: FarmSettings,
  { seed, guests, ...deps }: ReplicationParts,
): Promise<Farm> {
  const { realm, rows, log } = deps
  const dht = new Dht({ scheduler, log }, { realm: realm.id, isServer: true })
  const host = await parts.open(
    'peers',
    () => openHost(settings, { seed, guests, realm, dht }),
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
  const connector = await parts.open(
    'connector',
    () => {
      const members = () => realm.governance.members.filter(({ isCut }) => !isCut)
      const book = new RowPeerBook(rows)
      return new Connector({ host, book, scheduler, log, members, finders: [dht] }, settings)
    },
    (opened) => opened.stop(),
  )
  await connector.start()
  await openUpkeep(parts, { host, connector, dht, replication, ...deps })
  return { host, replication }
}

function openHost(
  { listen, announce, bootstrap }: FarmSettings,
  { seed, guests, realm, dht }: Pick<ReplicationParts, 'seed' | 'guests' | 'realm'> & { readonly dht: Dht },
): Promise<NetworkHost> {
  const guides = keysOf(bootstrap)
  return openLibp2pHost({
    seed,
    listen,
    announce,
    parts: [dht],
    admits: (peer) => realm.governance.isMember(peer),
    admitsGuest: (peer) =>
      guides.some((key) => equalBytes(key, peer)) || guests?.admitsGuest?.(peer) === true,
  })
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
