/** COMPOSITION ROOT: the parts of a node in the order they open; they close in reverse. Traffic enters last. */
import { unlink } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { publicChunkAddress } from './chunk-address.ts'
import type { RunningNode } from './cli/serve.ts'
import type { Config, Limits } from './config.ts'
import { dataFolder, prepareDataFolder, type DataFolder } from './data-folder.ts'
import { HubError, UnavailableError } from './errors.ts'
import { Ingest } from './flist/ingest.ts'
import { FlistInspector } from './flist/inspector.ts'
import { FlistMerger } from './flist/merger.ts'
import { FLIST_LIMITS } from './flist/limits.ts'
import { createChunkCodec, type ChunkCodec } from './format/chunk-codec.ts'
import type { HttpDeps, SiteOptions } from './http/deps.ts'
import { createHttpServer, type HttpServer } from './http/server.ts'
import { createImages } from './node-images.ts'
import { createSignIn } from './node-sign-in.ts'
import { metricsOf, statusOf } from './node-status.ts'
import { NodeJobs } from './operator.ts'
import { openIdentity, type Identity } from './repo/identity.ts'
import { openSeed } from './repo/keys.ts'
import { Judging } from './repo/judging.ts'
import { openOwnRealm, tokenRealm } from './repo/own-realm.ts'
import type { Realm } from './repo/realm.ts'
import { openRepositories, type SignedRepositories } from './repo/repositories.ts'
import { Tokens, type TokensDeps } from './repo/tokens.ts'
import { Purger } from './purger.ts'
import { createRespServer } from './resp/server.ts'
import { openDatabase, type Database } from './store/database.ts'
import { RowLeases } from './store/leases.ts'
import { receiveChunk } from './store/receive.ts'
import { RowFlistStore } from './store/row-flist-store.ts'
import { ALONE, type Replicated } from './sync/replicated.ts'
import { CACHE } from './sync/subscription.ts'
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

/** Opens every part, or none: a failure on the way closes what was open. */
export async function openNode(config: Config, options: NodeOptions): Promise<HubNode> {
  const parts = new Parts()
  try {
    return await openParts(parts, config, options)
  } catch (error) {
    await parts
      .close()
      .catch((failure: unknown) => options.log.error('closing after a failed start', {}, failure))
    throw error
  }
}

async function openParts(parts: Parts, config: Config, options: NodeOptions): Promise<HubNode> {
  const { log, clock = Date.now } = options
  const startedAtMs = clock()

  // Listens first and answers 503: whoever comes early knows to come back.
  const http = await openHttp(parts, config, options)
  const httpAddresses = await listening('http', () => http.start())
  const kept = await openKept(parts, config, http, options)
  const { database, flists, repositories, identity, tokens, admin, folder, leases, controlSocket } = kept
  const { inspector, merger, ingest, codec } = await openWorkers(parts, config, kept)
  const replicated = await openPeers(parts, config, kept, options)
  const { resp, jobs, purger } = await openTraffic(parts, config, { ...kept, codec, replicated }, options)

  const site = siteOptions(config, options, options.isPublic ? resp.addresses : config.resp, httpAddresses)
  const running = { config, identity, repositories, database, replicated, startedAtMs, clock }
  const deps: HttpDeps = {
    repositories,
    flists,
    chunks: database.chunks,
    receiver: { receive: (id, bytes) => receiveChunk(database.chunks, id, bytes) },
    space: database.space,
    leases,
    replicated,
    purges: purger,
    inspector,
    merger,
    codec,
    isMember: ({ host, port }) => host === site.publicChunks?.host && port === site.publicChunks.port,
    ingest: async (archive, run) => {
      await database.space.require(0) // known content adds no chunk that would ask for room
      return await ingest.run(archive, run)
    },
    ingestLayers: (layers, run) => ingest.runLayers(layers, run),
    images: createImages(config, folder, database.space),
    tokens,
    ...createSignIn(config, { ...database, ...identity, ...site, clock }),
    operator: jobs,
    status: statusOf({ version: options.version, ...running }),
    log,
    clock,
  }
  // Requests come last and leave first: what they work with is there as long as one is under way.
  await parts.open(
    'requests',
    () => http.open(deps, site, metricsOf(database, resp, repositories)),
    () => Promise.all([http.stop(), ingest.stop()]).then(() => {}),
  )
  return {
    http: httpAddresses.map((address) => `http://${formatHostPort(address)}`),
    resp: resp.addresses.map(formatHostPort),
    data: folder.root,
    p2p: replicated.addresses,
    tokenFile: folder.tokenFile,
    newAdminToken: admin.isNew ? admin.token : undefined,
    chunkWrites: config.respPassword !== undefined && !config.readonly,
    warnings: warningsOf(config, site, identity),
    controlSocket,
    repositories,
    realm: kept.realm,
    database,
    flists,
    stop: () => parts.close(),
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
  http: HttpServer,
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
  const controlSocket = await openControl(http, folder, isPublic)
  const identity = await openIdentity(rows, { directory: folder.keys, clock })
  const { realm, admin: realmAdmin } = await openOwnRealm(rows, identity, { directory: folder.keys, clock })
  const tokens = openTokens(config, identity, { rows, clock, realm: tokenRealm(realm, realmAdmin) })
  if (realm.isShared) await tokens.shareRevocations()
  const admin = await tokens.ensureAdminToken(folder.tokenFile)
  const leases = new RowLeases(rows, clock)
  const isPurged = (flist: Uint8Array) => realm.governance.isPurged(flist)
  const flists = new RowFlistStore(rows, chunks, isPurged)
  const repositories = await openRepositories({
    rows,
    identity,
    clock,
    authority: () => realm.governance,
    isPurged,
    // Outside of what is kept here names are shown as they are everywhere, and fetched when somebody reads.
    ...(config.farm.subscription !== CACHE && { holds: (id) => flists.numberOf(id) !== undefined }),
  })
  const onError = (error: unknown) => log.error('judging operations anew', {}, error)
  const judging = await parts.open(
    'judging',
    () => new Judging({ realm, repositories, onError }),
    (opened) => opened.stop(),
  )
  await judging.start()
  return {
    folder,
    database,
    controlSocket,
    identity,
    realm,
    realmAdmin,
    tokens,
    admin,
    repositories,
    leases,
    flists,
  }
}

type Kept = Awaited<ReturnType<typeof openKept>>

/** The threads that read and write flists. */
async function openWorkers(parts: Parts, { limits }: Config, { folder, database: { rows, chunks } }: Kept) {
  const temporaryDirectory = folder.temporary
  const flists = {
    temporaryDirectory,
    limits: { ...FLIST_LIMITS, maxFileBytes: limits.maxFlistBytes },
  }
  const inspector = await parts.open(
    'inspector',
    () => new FlistInspector(flists),
    (opened) => opened.stop(),
  )
  const merger = await parts.open(
    'merger',
    () => new FlistMerger(flists),
    (opened) => opened.stop(),
  )
  const ingest = await parts.open(
    'ingest',
    () => new Ingest({ chunks, known: chunks, rows }, ingestOptions(limits)),
    (opened) => opened.stop(),
  )
  await ingest.start()
  return { inspector, merger, ingest, codec: await createChunkCodec() }
}

function ingestOptions({
  uploads,
  maxUploadBytes,
  maxPlainBytes,
  maxRatio,
  maxEntries,
  maxDepth,
  spillEntries,
}: Limits) {
  const limits = {
    maxArchiveBytes: maxUploadBytes,
    maxPlainBytes,
    maxRatio,
    maxEntries,
    maxDepth,
    maxEntriesInMemory: spillEntries,
  }
  return { maxAtOnce: uploads, limits }
}

/** The peers of a shared realm; a node that one command opened for itself meets nobody. */
async function openPeers(
  parts: Parts,
  { farm }: Config,
  { folder, database, realm, repositories, flists, leases }: Kept,
  { isPublic, log, clock = Date.now }: NodeOptions,
): Promise<Replicated> {
  if (!isPublic || !realm.isShared) return ALONE
  const { openReplication } = await import('./node-replication.ts')
  const seed = await openSeed(folder.keys, 'node.key')
  const deps = { ...database, seed, realm, repositories, flists, leases, log, clock }
  return await listening('p2p', () => openReplication(parts, farm, deps)).then(
    ({ replication }) => replication,
  )
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

function siteOptions(
  config: Config,
  { version }: NodeOptions,
  resp: readonly HostPort[],
  http: readonly HostPort[],
): SiteOptions {
  const [first] = http
  const ownUrl = first === undefined ? 'http://localhost' : `http://${formatHostPort(first)}`
  return {
    publicUrl: config.publicUrl ?? ownUrl,
    publicChunks: publicChunkAddress(config, resp),
    flistBackend: config.flistBackend,
    auth: config.auth,
    readonly: config.readonly,
    guestToken: config.guestToken,
    usersMap: config.usersMap,
    official: config.official,
    limits: config.limits,
    cacheBytes: config.flistCacheBytes,
    version,
    operatorName: userInfo().username,
  }
}

function warningsOf(config: Config, site: SiteOptions, identity: Identity): string[] {
  const warnings: string[] = []
  if (site.publicChunks === undefined && config.flistBackend !== 'keep') {
    warnings.push('flists are served without a chunk address: set ZHUB_PUBLIC_URL or ZHUB_PUBLIC_CHUNKS')
  }
  if (!config.auth) warnings.push('authentication is off: everybody who reaches the API is Administrator')
  if (identity.isRestored)
    warnings.push('this data folder is a restored copy: the node signs under a new incarnation')
  for (const { path, mode } of identity.exposed) {
    warnings.push(
      `others could read ${path} (mode 0${mode.toString(8)}); it is closed now, but who read it has the key`,
    )
  }
  return warnings
}
