/**
 * A node's part among peers: the libp2p host, who is kept connected, what is exchanged. Loaded only where a realm is
 * shared: libp2p takes 0.4 s and 90 MB.
 */
import type { FarmSettings } from './config.ts'
import { Connector } from './net/connector.ts'
import type { Admission } from './net/gate.ts'
import { openLibp2pHost } from './net/libp2p-host.ts'
import type { NetworkHost } from './net/libp2p-host.ts'
import type { Realm } from './repo/realm.ts'
import { Replication } from './sync/replication.ts'
import type { ReplicationDeps } from './sync/replication.ts'
import { RowPeerBook } from './sync/row-peer-book.ts'
import type { Parts } from './util/lifecycle.ts'
import { systemScheduler } from './util/scheduler.ts'

export interface ReplicationParts extends Omit<ReplicationDeps, 'host' | 'realm' | 'scheduler'> {
  readonly realm: Realm
  /** Of the node's key. */
  readonly seed: Uint8Array
  /** Who else may come for a moment: to join. */
  readonly guests?: Pick<Admission, 'admitsGuest'>
}

export interface Farm {
  readonly host: NetworkHost
  readonly replication: Replication
}

/** Opens in this order: who may be asked must be there before anybody is called. They close in reverse. */
export async function openReplication(
  parts: Parts,
  { listen, announce, peers, bootstrap, subscription, quotaBytes, rateUp, rateDown }: FarmSettings,
  { seed, guests, ...deps }: ReplicationParts,
): Promise<Farm> {
  const { realm, rows, log } = deps
  const scheduler = systemScheduler
  const admits = (peer: Uint8Array) => realm.governance.isMember(peer)
  const host = await parts.open(
    'peers',
    () => openLibp2pHost({ seed, listen, announce, admits, ...guests }),
    (opened) => opened.stop(),
  )
  const options = { subscription, quotaBytes, rateUp, rateDown }
  const replication = await parts.open(
    'replication',
    () => new Replication({ ...deps, host, scheduler }, options),
    (opened) => opened.stop(),
  )
  const members = () =>
    realm.governance.members.filter(({ isCut }) => !isCut).map(({ node, addresses }) => ({ node, addresses }))
  const connector = await parts.open(
    'connector',
    () =>
      new Connector(
        { host, book: new RowPeerBook(rows), scheduler, log, members, finders: [] },
        { peers, bootstrap },
      ),
    (opened) => opened.stop(),
  )
  await host.start()
  replication.start()
  await connector.start()
  const unsubscribe = realm.subscribe(() => {
    // Who was cut is shown out at once; who was added is called.
    void host.review().catch((error: unknown) => log.error('showing out who is no member', {}, error))
    void connector.review().catch((error: unknown) => log.error('calling members', {}, error))
  })
  await parts.open(
    'membership',
    () => unsubscribe,
    () => Promise.resolve(unsubscribe()),
  )
  return { host, replication }
}
