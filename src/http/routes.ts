import type { Route } from './call.ts'
import type { HttpMetrics } from './metrics.ts'
import { downloadRoutes } from './routes-downloads.ts'
import { flistRoutes } from './routes-flist.ts'
import { listRoutes } from './routes-lists.ts'
import { meRoutes } from './routes-me.ts'
import { nodeRoutes } from './routes-node.ts'
import { uploadRoutes } from './routes-upload.ts'
import type { Site } from './site.ts'

/** Every route there is; a group a file. */
export function routesOf(site: Site, metrics: HttpMetrics): Route[] {
  return [
    ...listRoutes(site),
    ...flistRoutes(site),
    ...meRoutes(site),
    ...uploadRoutes(site),
    ...downloadRoutes(site),
    ...nodeRoutes(site, metrics),
  ]
}
