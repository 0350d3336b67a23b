import { ADMINISTRATOR } from '../repo/names.ts'
import type { Call } from './call.ts'
import type { Site } from './site.ts'

export interface Visitor {
  readonly name: string
  /** What the page's scripts send as X-CSRF-Token; with authentication off nothing is asked for. */
  readonly csrf: string | undefined
}

/** Who is signed in at the browser that asks for a page; on any route. An answer with it must not be cached. */
export function whoIs({ sessions, options }: Site, { request }: Call): Visitor | undefined {
  if (!options.auth) return { name: ADMINISTRATOR, csrf: undefined }
  const session = sessions.find(request)
  return session && { name: session.actor.repository, csrf: session.csrf }
}
