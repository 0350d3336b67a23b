/** COMPOSITION ROOT: the parts of a node in the order they open; they close in reverse. Traffic enters last. */
import { unlink } from 'node:fs/promises'
import type { RunningNode } from './cli/serve.ts'
import type { Config } from './config.ts'
import { dataFolder, prepareDataFolder, type DataFolder } from './data-folder.ts'
import { HubError, UnavailableError } from './errors.ts'
import type { ChunkCodec } from './format/chunk-codec.ts'
import type { HttpDeps, SiteOptions } from './http/deps.ts'
import { createHttpServer, type HttpServer } from './http/server.ts'
import { createImages } from './node-images.ts'
import { openInRealm, openNodeRealm } from './node-realm-parts.ts'
import { Reopening, type Generation } from './node-reopening.ts'
import { createSignIn } from './node-sign-in.ts'
import { siteOptions, warningsOf } from './node-site.ts'
import { metricsOf, statusOf } from './node-status.ts'
import { openWorkers } from './node-workers.ts'
import type { NetworkHost } from './net/libp2p-host.ts'
import { NodeJobs } from './operator.ts'
import type { Identity } from './repo/identity.ts'
import { Invites } from './repo/invites.ts'
import { Judging } from './repo/judging.ts'
import { openSeed } from './repo/keys.ts'
import { tokenRealm } from './repo/own-realm.ts'
import type { Realm } from './repo/realm.ts'
import { requireStanding } from './repo/standing.ts'
import { openRepositories, type SignedRepositories } from './repo/repositories.ts'
import { Tokens, type TokensDeps } from './repo/tokens.ts'
import { Purger } from './purger.ts'
import { createRespServer } from './resp/server.ts'
import { openDatabase, type Database } from './store/database.ts'
import { RowLeases } from './store/leases.ts'
import { receiveChunk } from './store/receive.ts'
import { RowFlistStore } from './store/row-flist-store.ts'
import { ALONE, type Replicated } from './sync/replicated.ts'
import { holdsOf } from './sync/subscription.ts'
import { Parts } from './util/lifecycle.ts'
import type { Logger } from './util/logger.ts'
import { formatHostPort, type HostPort } from './util/parse.ts'
import { SECOND_MS } from './util/units.ts'

export interface NodeOptions {
  readonly version: string
  readonly log: Logger
  /** False: nothing listens but a socket for the command that opened it. */
  readonly isPublic: boolean
  /** Unix milliseconds. */
  readonly clock?: () => number
}

export interface HubNode extends RunningNode {
  /** Where the local operator is answered. */
  readonly controlSocket: string
  readonly repositories: SignedRepositories
  readonly realm: Realm
  readonly database: Database
  readonly flists: RowFlistStore
}

/** What stays while the other parts are opened anew. */
interface Listening {
  readonly http: HttpServer
  readonly addresses: readonly HostPort[]
  /** Where the local operator is answered, once it is. */
  control?: string
  /** The chunk port's, once it listens: it comes back there. */
  resp?: readonly HostPort[]
  isEnding: boolean
  /** How often they have been opened. */
  generation: number
  /** Opens the other parts anew, once the requests under way have been answered. */
  reopen(): void
}

/** Opens every part, or none: a failure on the way closes what was open. */
export async function openNode(config: Config, options: NodeOptions): Promise<HubNode> {
  const parts = new Parts()
  try {
    return await openListening(parts, config, options)
  } catch (error) {
    await closeAll(parts, options.log)
    throw error
  }
}

async function closeAll(parts: Parts, log: Logger): Promise<void> {
  await parts.close().catch((failure: unknown) => log.error('closing after a failed start', {}, failure))
}

async function openListening(parts: Parts, config: Config, options: NodeOptions): Promise<HubNode> {
  // Listens first and answers 503: whoever comes early knows to come back.
  const http = await openHttp(parts, config, options)
  const addresses = await listening('http', () => http.start())
  const listens: Listening = {
    http,
    addresses,
    isEnding: false,
    generation: 0,
    reopen: () => reopening.reopen(),
  }
  const reopening = await parts.open(
    'parts',
    () => new Reopening(() => openGeneration(config, options, listens), options.log),
    (opened) => {
      listens.isEnding = true
      return opened.stop()
    },
  )
  const first = await reopening.start()
  return {
    ...first,
    get repositories() {
      return reopening.current.repositories
    },
    get realm() {
      return reopening.current.realm
    },
    get database() {
      return reopening.current.database
    },
    get flists() {
      return reopening.current.flists
    },
    failed: reopening.failed,
    stop: () => parts.close(),
  }
}

type OpenedNode = Omit<HubNode, 'stop' | 'failed'>

async function openGeneration(
  config: Config,
  options: NodeOptions,
  listens: Listening,
): Promise<Generation<OpenedNode>> {
  const parts = new Parts()
  try {
    const settled = { ...config, ...(listens.resp && { resp: listens.resp }) }
    const node = await openParts(parts, settled, options, listens)
    return { node, close: () => parts.close() }
  } catch (error) {
    await closeAll(parts, options.log)
    throw error
  }
}

async function openParts(
  parts: Parts,
  config: Config,
  options: NodeOptions,
  listens: Listening,
): Promise<OpenedNode> {
  const { clock = Date.now, isPublic, version } = options
  const { http } = listens
  const kept = await openKept(parts, config, listens, options)
  const workers = await openWorkers(parts, config, kept)
  const { host, replicated } = await openPeers(parts, config, kept, options)
  const traffic = await openTraffic(parts, config, { ...kept, ...workers, replicated }, options)
  const { resp } = traffic
  if (isPublic) listens.resp = resp.addresses
  listens.generation++
  const realm = await openNodeRealm(parts, config, kept, { ...options, ...listens, replicated, host })
  const site = siteOptions(config, version, isPublic ? resp.addresses : config.resp, listens.addresses)
  const open = { ...kept, ...workers, ...traffic, replicated, site, startedAtMs: clock() }
  const { database, repositories, folder, admin } = kept
  // Requests come last and leave first: what they work with is there as long as one is under way.
  await parts.open(
    'requests',
    () => {
      const deps = { ...httpDeps(config, options, open), realm }
      return http.open(deps, site, metricsOf(database, resp, repositories))
    },
    () => {
      realm.stop() // else a request of the operator's would wait for other nodes
      const ending = listens.isEnding ? http.stop() : http.shut()
      return Promise.all([ending, workers.ingest.stop()]).then(() => {})
    },
  )
  return {
    http: listens.addresses.map((address) => `http://${formatHostPort(address)}`),
    resp: resp.addresses.map(formatHostPort),
    data: folder.root,
    p2p: replicated.addresses,
    tokenFile: folder.tokenFile,
    newAdminToken: admin.isNew ? admin.token : undefined,
    chunkWrites: config.respPassword !== undefined && !config.readonly,
    warnings: warningsOf(config, site, kept),
    controlSocket: kept.controlSocket,
    repositories,
    realm: kept.realm,
    database,
    flists: kept.flists,
  }
}

type Open = Kept &
  Awaited<ReturnType<typeof openWorkers>> &
  Awaited<ReturnType<typeof openTraffic>> & {
    readonly replicated: Replicated
    readonly site: SiteOptions
    readonly startedAtMs: number
  }

/** The parts as the HTTP side knows them. */
function httpDeps(
  config: Config,
  { version, log, clock = Date.now }: NodeOptions,
  { database, folder, ingest, jobs, purger, site, ...open }: Open,
): Omit<HttpDeps, 'realm'> {
  const { chunks } = database
  const { repositories, flists, leases, replicated, inspector, merger, codec, tokens, requireStanding } = open
  return {
    ...{ repositories, flists, chunks, leases, replicated, inspector, merger, codec, tokens, log, clock },
    requireStanding,
    receiver: { receive: (id, bytes) => receiveChunk(chunks, id, bytes) },
    space: database.space,
    isMember: ({ host, port }) => host === site.publicChunks?.host && port === site.publicChunks.port,
    ingest: async (archive, run) => {
      await database.space.require(0) // known content adds no chunk that would ask for room
      return await ingest.run(archive, run)
    },
    ingestLayers: (layers, run) => ingest.runLayers(layers, run),
    images: createImages(config, folder, database.space),
    ...createSignIn(config, { ...database, ...open.identity, ...site, clock }),
    operator: jobs,
    purges: purger,
    status: statusOf({ config, database, version, clock, ...open }),
  }
}

function openHttp(
  parts: Parts,
  { http, trustedProxies }: Config,
  { isPublic }: NodeOptions,
): Promise<HttpServer> {
  const listen = isPublic ? http : []
  return parts.open(
    'http',
    () => createHttpServer({ listen, trustedProxies }),
    (server) => server.stop(),
  )
}

/** What lies in the data folder, whose lock the database is. */
async function openKept(
  parts: Parts,
  config: Config,
  listens: Listening,
  { clock = Date.now, isPublic, log }: NodeOptions,
) {
  const folder = dataFolder(config.data)
  const database = await parts.open(
    'database',
    () => openDatabase(folder.root, { minFreeBytes: config.minFreeBytes, clock }),
    (opened) => opened.close(),
  )
  const { rows, chunks } = database
  await prepareDataFolder(folder)
  const controlSocket = (listens.control ??= await openControl(listens.http, folder, isPublic))
  const inRealm = await openInRealm(database, folder.keys, { clock, log })
  const { identity, realm, admin: realmAdmin, moved } = inRealm
  const leases = new RowLeases(rows, clock)
  const isPurged = (flist: Uint8Array) => realm.governance.isPurged(flist)
  const standing = () => requireStanding(realm.governance, identity.node.publicKey)
  const flists = new RowFlistStore(rows, chunks, isPurged)
  const tokens = openTokens(config, identity, { rows, clock, realm: tokenRealm(realm, realmAdmin) })
  if (realm.isShared) await tokens.shareRevocations()
  const admin = await tokens.ensureAdminToken(folder.tokenFile)
  const repositories = await openRepositories({
    rows,
    identity,
    clock,
    authority: () => realm.governance,
    isPurged,
    requireStanding: standing,
    holds: holdsOf(config.farm.subscription, flists),
  })
  const onError = (error: unknown) => log.error('judging operations anew', {}, error)
  const judging = await parts.open(
    'judging',
    () => new Judging({ realm, repositories, onError }),
    (opened) => opened.stop(),
  )
  await judging.start()
  const invites = await Invites.open(rows, clock)
  return {
    folder,
    database,
    controlSocket,
    identity,
    realm,
    realmAdmin,
    moved,
    tokens,
    admin,
    repositories,
    leases,
    flists,
    invites,
    requireStanding: standing,
  }
}

type Kept = Awaited<ReturnType<typeof openKept>>

interface Peers {
  readonly replicated: Replicated
  readonly host?: NetworkHost
}

/** The peers of a shared realm; a node that one command opened for itself meets nobody. */
async function openPeers(
  parts: Parts,
  { farm }: Config,
  { folder, database, realm, repositories, flists, leases, invites }: Kept,
  { isPublic, log, clock = Date.now }: NodeOptions,
): Promise<Peers> {
  if (!isPublic || !realm.isShared) return { replicated: ALONE }
  const { openReplication } = await import('./node-replication.ts')
  const seed = await openSeed(folder.keys, 'node.key')
  const guests = { admitsGuest: () => invites.areOpen }
  const deps = { ...database, seed, guests, realm, repositories, flists, leases, log, clock }
  const { host, replication } = await listening('p2p', () => openReplication(parts, farm, deps))
  return { host, replicated: replication }
}

/** The chunk port, and the jobs in the background; neither for a node that one command opened for itself. */
async function openTraffic(
  parts: Parts,
  config: Config,
  kept: Kept & { readonly codec: ChunkCodec; readonly replicated: Replicated },
  { log, clock = Date.now, isPublic }: NodeOptions,
) {
  const { folder, database, flists, repositories, leases, codec, replicated, realm } = kept
  const { rows, chunks } = database
  const { resp: listen, respPassword: password, readonly, chunkCacheBytes: cacheBytes } = config
  const resp = createRespServer(
    { chunks, ...(replicated.isShared && { remote: replicated.chunks }), log, clock },
    { listen, password, readonly, cacheBytes },
  )
  const forget = (ids: readonly Uint8Array[]) => resp.forget(ids)
  const store = { rows, chunks, flists, leases, onDeleted: forget }
  const purger = await parts.open(
    'purger',
    () => new Purger({ realm, admin: kept.realmAdmin, repositories, store, log }),
    (opened) => opened.stop(),
  )
  await purger.start()
  const jobs = await parts.open(
    'jobs',
    () => {
      const collector = { ...store, clock }
      const isPurged = (flist: Uint8Array) => purger.isPurged(flist)
      return new NodeJobs({ folder, database, flists, repositories, isPurged, collector, codec, log }, config)
    },
    (opened) => opened.stop(),
  )
  if (isPublic) {
    await parts.open(
      'chunk port',
      () => listening('resp', () => resp.start()),
      () => resp.stop(),
    )
    jobs.start()
  }
  return { resp, jobs, purger }
}

/** The system's error of a port that is taken, as a sentence. */
async function listening<T>(setting: string, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen()
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (cause instanceof HubError) throw cause
    const why =
      code === 'EADDRINUSE'
        ? 'the address is in use'
        : code === 'EACCES'
          ? 'not allowed'
          : (cause as Error).message
    throw new UnavailableError(`${setting}: cannot listen: ${why}`, { cause })
  }
}

/** Only the owner of the database's lock comes here, so a socket that lies about is a dead node's. */
async function openControl(http: HttpServer, folder: DataFolder, isPublic: boolean): Promise<string> {
  const path = isPublic ? folder.controlSocket : `${folder.controlSocket}.${process.pid}`
  await unlink(path).catch(() => {})
  await listening('control socket', () => http.startControl(path))
  return path
}

function openTokens(config: Config, { tokenSeed }: Identity, deps: TokensDeps): Tokens {
  const { threebotSeed, tokenTtlMs } = config
  return new Tokens(deps, {
    seed: threebotSeed ?? tokenSeed,
    isOwnSeed: threebotSeed === undefined,
    ownSeed: tokenSeed,
    ttlS: Math.floor(tokenTtlMs / SECOND_MS),
  })
}
