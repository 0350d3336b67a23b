import type { Repositories } from '../repo/entry.ts'
import type { ChunkSource } from '../store/chunk-store.ts'
import { Gatekeeper } from './auth.ts'
import { Credentials } from './auth-header.ts'
import type { HttpDeps, SiteOptions } from './deps.ts'
import { FlistReader, readThroughChunks } from './flist-reader.ts'
import { FlistViews } from './flist-views.ts'
import { Jobs } from './jobs.ts'
import { ServedFlists } from './served-flists.ts'
import { Sessions } from './session.ts'

/** What the route groups work with: the node's parts, the settings, and the two caches of flist content. */
export interface Site extends HttpDeps {
  readonly repositories: Repositories
  readonly options: SiteOptions
  /** Flists by id, from peers where they are not here. */
  readonly library: FlistReader
  /** Chunks, from peers where they are not here. */
  readonly blocks: ChunkSource
  readonly served: ServedFlists
  readonly views: FlistViews
  readonly credentials: Credentials
  readonly sessions: Sessions
  readonly gatekeeper: Gatekeeper
  readonly jobs: Jobs
}

export function createSite(deps: HttpDeps, options: SiteOptions, trustedProxies: readonly string[]): Site {
  const { tokens, jwts, clock = Date.now, requireStanding } = deps
  const credentials = new Credentials(tokens, jwts, options)
  const sessions = new Sessions(options.publicUrl, clock)
  const library = new FlistReader(deps)
  return {
    ...deps,
    options,
    library,
    blocks: readThroughChunks(deps.chunks, deps.replicated),
    credentials,
    sessions,
    jobs: new Jobs(deps.log, clock),
    gatekeeper: new Gatekeeper({ credentials, sessions, clock, requireStanding }, options, trustedProxies),
    served: new ServedFlists(library, deps.inspector, { ...options, cacheBytes: options.cacheBytes / 2 }),
    views: new FlistViews(library, deps.inspector, { ...options, cacheBytes: options.cacheBytes / 8 }),
  }
}
