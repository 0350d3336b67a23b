/** The node in numbers: `GET /api/v1/status` and the gauges of `/metrics`. */
import type { Config } from './config.ts'
import type { MetricSource } from './http/metrics.ts'
import type { Identity } from './repo/identity.ts'
import type { Realm } from './repo/realm.ts'
import type { SignedRepositories } from './repo/repositories.ts'
import { whyCutOff } from './repo/standing.ts'
import type { RespServer } from './resp/server.ts'
import type { Database } from './store/database.ts'
import type { Replicated } from './sync/replicated.ts'
import { toHex } from './util/bytes.ts'
import { SECOND_MS } from './util/units.ts'

interface StatusParts {
  readonly config: Config
  readonly version: string
  readonly identity: Identity
  readonly realm: Pick<Realm, 'governance'>
  readonly repositories: SignedRepositories
  readonly database: Database
  readonly replicated: Pick<Replicated, 'frontierAgeS'>
  readonly startedAtMs: number
  readonly clock: () => number
}

/** The body of `GET /api/v1/status`. */
export function statusOf({
  config,
  version,
  identity,
  realm,
  repositories,
  database,
  replicated,
  startedAtMs,
  clock,
}: StatusParts) {
  return async () => {
    const { chunks, bytes } = database.chunks.totals()
    return {
      version,
      node: toHex(identity.node.publicKey),
      realm: toHex(identity.realm),
      readonly: config.readonly,
      cut: whyCutOff(realm.governance, identity.node.publicKey) !== undefined,
      uptime: Math.floor((clock() - startedAtMs) / SECOND_MS),
      frontierAge: Math.floor(replicated.frontierAgeS()),
      counts: { repositories: repositories.list().length, flists: flistCount(repositories), chunks, bytes },
      disk: { free: await database.space.free(), low: config.minFreeBytes },
    }
  }
}

function flistCount(repositories: SignedRepositories): number {
  const files = repositories
    .list()
    .map((name) => repositories.entries(name).filter(({ target }) => target.kind === 'file'))
  return files.reduce((sum, { length }) => sum + length, 0)
}

export function metricsOf(
  { chunks }: Database,
  { counters }: RespServer,
  repositories: SignedRepositories,
): MetricSource[] {
  return [
    { name: 'zhub_chunks', help: 'Chunks held', read: () => chunks.totals().chunks },
    { name: 'zhub_chunk_bytes', help: 'Bytes of chunks held', read: () => chunks.totals().bytes },
    { name: 'zhub_repositories', help: 'Repositories', read: () => repositories.list().length },
    { name: 'zhub_flists', help: 'Flists under a name', read: () => flistCount(repositories) },
    {
      name: 'zhub_resp_connections',
      help: 'Open connections of the chunk port',
      read: () => counters.connections,
    },
    { name: 'zhub_resp_bytes_out', help: 'Bytes sent by the chunk port', read: () => counters.bytesOut },
    { name: 'zhub_resp_misses', help: 'Chunks asked for and not held', read: () => counters.misses },
    { name: 'zhub_resp_errors', help: 'Error replies of the chunk port', read: () => counters.errors },
  ]
}
