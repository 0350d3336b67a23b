import { userInfo } from 'node:os'
import { publicChunkAddress } from './chunk-address.ts'
import type { Config } from './config.ts'
import type { SiteOptions } from './http/deps.ts'
import type { Identity } from './repo/identity.ts'
import type { Realm } from './repo/realm.ts'
import { whyCutOff } from './repo/standing.ts'
import { formatHostPort, type HostPort } from './util/parse.ts'

/** What the HTTP side presents of the settings. `resp` and `http` are where the node listens. */
export function siteOptions(
  config: Config,
  version: string,
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

/** What the operator should know, one sentence each. */
export function warningsOf(
  config: Config,
  site: SiteOptions,
  { identity, realm }: { readonly identity: Identity; readonly realm: Realm },
): string[] {
  const warnings: string[] = []
  const cut = whyCutOff(realm.governance, identity.node.publicKey)
  if (cut !== undefined) warnings.push(cut)
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
