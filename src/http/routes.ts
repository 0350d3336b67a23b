import type { Route } from './call.ts'
import type { HttpMetrics } from './metrics.ts'
import { compactJson } from './answer.ts'
import { openApi } from './openapi.ts'
import { chunkRoutes } from './routes-chunks.ts'
import { contentRoutes } from './routes-content.ts'
import { conflictRoutes } from './routes-conflicts.ts'
import { historyRoutes } from './routes-history.ts'
import { dockerRoutes } from './routes-docker.ts'
import { purgeRoutes } from './routes-purge.ts'
import { operatorRoutes } from './routes-operator.ts'
import { realmRoutes } from './routes-realm.ts'
import { tagRoutes } from './routes-tags.ts'
import { tokenRoutes } from './routes-tokens.ts'
import { downloadRoutes } from './routes-downloads.ts'
import { farmRoutes } from './routes-farm.ts'
import { flistRoutes } from './routes-flist.ts'
import { infoRoutes } from './routes-info.ts'
import { jobRoutes } from './routes-jobs.ts'
import { crosstagRoutes } from './routes-crosstags.ts'
import { linkRoutes } from './routes-links.ts'
import { listRoutes } from './routes-lists.ts'
import { mergeRoutes } from './routes-merge.ts'
import { meRoutes } from './routes-me.ts'
import { moveRoutes } from './routes-moves.ts'
import { nodeRoutes } from './routes-node.ts'
import { uploadRoutes } from './routes-upload.ts'
import { pageRoutes } from './routes-pages.ts'
import { signInRoutes } from './routes-sign-in.ts'
import type { Site } from './site.ts'
import { createUploads } from './uploads.ts'

/** Every route there is; a group a file. */
export function routesOf(site: Site, metrics: HttpMetrics): Route[] {
  const uploads = createUploads(site)
  const routes: Route[] = [
    ...listRoutes(site),
    ...flistRoutes(site),
    ...meRoutes(site),
    ...linkRoutes(site),
    ...crosstagRoutes(site),
    ...tagRoutes(site),
    ...moveRoutes(site),
    ...uploadRoutes(uploads),
    ...jobRoutes(site, uploads),
    ...dockerRoutes(site),
    ...mergeRoutes(site),
    ...downloadRoutes(site),
    ...nodeRoutes(site, metrics),
    ...farmRoutes(site),
    ...historyRoutes(site),
    ...conflictRoutes(site),
    ...purgeRoutes(site),
    ...infoRoutes(site),
    ...contentRoutes(site),
    ...chunkRoutes(site),
    ...tokenRoutes(site),
    ...operatorRoutes(site),
    ...realmRoutes(site),
    ...signInRoutes(site),
    ...pageRoutes(site),
  ]
  routes.push({
    method: 'GET',
    path: '/api/v1/openapi.json',
    access: 'public',
    summary: 'This description',
    handle: () => compactJson(openApi(routes, site.options)),
  })
  return routes
}
