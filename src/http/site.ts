import type { Repositories } from '../repo/entry.ts'
import type { HttpDeps, SiteOptions } from './deps.ts'
import { FlistViews } from './flist-views.ts'
import { ServedFlists } from './served-flists.ts'

/** What the route groups work with: the node's parts, the settings, and the two caches of flist content. */
export interface Site extends HttpDeps {
  readonly repositories: Repositories
  readonly options: SiteOptions
  readonly served: ServedFlists
  readonly views: FlistViews
}

export function createSite(deps: HttpDeps, options: SiteOptions): Site {
  return {
    ...deps,
    options,
    served: new ServedFlists(deps.flists, deps.inspector, { ...options, cacheBytes: options.cacheBytes / 2 }),
    views: new FlistViews(deps.flists, deps.inspector, { ...options, cacheBytes: options.cacheBytes / 8 }),
  }
}
