import type { PeerReport, RepositoryReport } from '../sync/replicated.ts'
import { compactJson } from './answer.ts'
import type { Call, Route } from './call.ts'
import { PAGE_QUERY, sortedPageOf } from './page-of.ts'
import type { Site } from './site.ts'

/** The other nodes, and what of the repositories is here (interfaces.md, HTTP). */
export function farmRoutes({ repositories, replicated }: Site): Route[] {
  /** One node alone holds all it lists. */
  const ownReport = (name: string): RepositoryReport => {
    const flists = repositories.entries(name).filter(({ target }) => target.kind === 'file').length
    return { name, held: true, flists, missingFlists: 0, missingChunks: 0, missingBytes: 0 }
  }

  const held = async (call: Call) => {
    const reports = replicated.isShared
      ? await replicated.repositories()
      : repositories.list().map((name) => ownReport(name))
    return compactJson(sortedPageOf(call, reports, ({ name }) => name))
  }

  const peers = (call: Call) => {
    const page = sortedPageOf(call, replicated.peers(), ({ node }) => node)
    return compactJson({ ...page, items: page.items.map((peer) => peerView(peer, call.isAdministrator)) })
  }

  const get = { method: 'GET', query: PAGE_QUERY } as const
  return [
    {
      ...get,
      access: 'public',
      path: '/api/v1/repositories',
      summary: 'Repositories and what of them is here',
      handle: held,
    },
    {
      ...get,
      access: 'told',
      path: '/api/v1/peers',
      summary: 'The other nodes of the realm; where they are reached is for the Administrator',
      handle: peers,
    },
  ]
}

/** Where a machine listens is nothing for strangers. */
function peerView(peer: PeerReport, isAdministrator: boolean): object {
  const { node, name, connected, addrs, lagOps, missingBytes, etaSeconds, lastSeen } = peer
  const places = isAdministrator ? { addrs } : {}
  return { node, name, connected, ...places, lagOps, missingBytes, etaSeconds, lastSeen }
}
