import type { IncomingMessage, ServerResponse } from 'node:http'
import type { User } from '../repo/entry.ts'
import type { Answer } from './answer.ts'

/** Who asks, on whose repository. */
export interface Actor {
  readonly user: User
  /** The acting repository: what `me` is. */
  readonly repository: string
  /** May write any repository and use all of `/api/v1`. */
  readonly isAdministrator: boolean
  /** Speaks through the control socket: the owner of the process. */
  readonly isOperator: boolean
}

/** One request, as a handler sees it. */
export interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Decoded once; never empty. */
  readonly params: Readonly<Record<string, string>>
  /** Who asks; of public routes nobody asks that. */
  readonly actor: () => Actor
  /** The Administrator asks; always false on public routes. */
  readonly isAdministrator: boolean
  /** Aborted when the client leaves before the answer is out. */
  readonly signal: () => AbortSignal
}

export type Handler = (call: Call) => Answer | Promise<Answer>

/**
 * Who may call: `public` anybody; `told` anybody, and who proves to be somebody may be told more; `user` whoever the Authorization header proves, refused as a whole while the node
 * is read-only; `admin` the Administrator; `session` a browser that has signed in, or that header: others are led to
 * the sign-in page, everybody to /readonly while the node is read-only, and a session's mutation needs X-CSRF-Token.
 */
export type Access = 'public' | 'told' | 'user' | 'admin' | 'session'

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'INFO'
  /** Segments of `/`; `:name` is a parameter. */
  readonly path: string
  readonly access: Access
  /** It changes something: never for a browser's other site, and counted per address. */
  readonly mutates?: boolean
  /** It is a client's write, which a read-only node refuses (`user` routes are refused anyway). */
  readonly writes?: boolean
  /** Its answers to GET stay right until a repository changes. */
  readonly isCached?: boolean
  /** One sentence for the API's description. */
  readonly summary: string
  /** JSON schema of the body, where it is JSON; `multipart/form-data` and the like by name. */
  readonly accepts?: BodyShape
  /** Media type of the answer; JSON when absent. */
  readonly answers?: string
  readonly query?: Readonly<Record<string, string>>
  readonly handle: Handler
}

export interface BodyShape {
  readonly type: string
  readonly schema: object
}

/** The value of one query parameter. */
export function queryOf(call: Call, name: string): string | undefined {
  const at = call.request.url?.indexOf('?') ?? -1
  return at < 0 ? undefined : (new URLSearchParams(call.request.url?.slice(at + 1)).get(name) ?? undefined)
}
