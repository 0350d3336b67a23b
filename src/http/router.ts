/** The route table as a fastify app: matching is fastify's, everything else is an `Answer`. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import fastify, { type FastifyInstance } from 'fastify'
import { KIB } from '../util/units.ts'
import type { Logger } from '../util/logger.ts'
import type { Repositories } from '../repo/entry.ts'
import { AnswerCache } from './answer-cache.ts'
import { emptyAnswer, envelope, withHeaders, type Answer } from './answer.ts'
import type { Gatekeeper } from './auth.ts'
import type { Actor, Call, Route } from './call.ts'
import { isConditional } from './downloads.ts'
import { isUnread, sendEarly } from './early-answer.ts'
import { answerOf, isWorthLogging } from './errors.ts'
import type { HttpMetrics } from './metrics.ts'
import { forReader } from './page-answer.ts'
import { send } from './send.ts'

export interface RouterDeps {
  readonly repositories: Repositories
  readonly gatekeeper: Gatekeeper
  readonly metrics: HttpMetrics
  readonly log: Logger
}

/** Matches a request and answers it; never throws, never rejects. */
export class Router {
  readonly #routes: readonly Route[]
  readonly #deps: RouterDeps
  readonly #cache: AnswerCache
  readonly #operators = new WeakSet<IncomingMessage>()
  readonly app: FastifyInstance

  constructor(routes: readonly Route[], deps: RouterDeps, options: { readonly cacheBytes: number }) {
    this.#routes = routes
    this.#deps = deps
    this.#cache = new AnswerCache(deps.repositories, options.cacheBytes)
    this.app = this.#createApp()
  }

  /** `isOperator`: it came through the control socket. */
  handle(request: IncomingMessage, response: ServerResponse, isOperator: boolean): void {
    const cached = this.#cached(request)
    if (cached !== undefined) {
      this.#deps.metrics.count(200)
      void this.#send(request, response, cached)
      return
    }
    if (isOperator) this.#operators.add(request)
    const merged = withoutDoubleSlashes(request.url ?? '/')
    if (merged === undefined) this.app.routing(request, response)
    else
      void this.#reply(request, response, () => emptyAnswer(308, ['Location', merged, 'Content-Length', '0']))
  }

  /** The method INFO, which neither node's parser nor fastify knows: as GET of the light view. */
  async info(url: string): Promise<Answer> {
    const path = pathOf(url).replace(/\/$/, '')
    const route = this.#routes.find(
      ({ method, path: pattern }) => method === 'INFO' && matches(pattern, path),
    )
    if (route === undefined) return this.#unrouted('INFO', path)
    const { statusCode, rawPayload, headers } = await this.app.inject({ method: 'GET', url: `${path}/light` })
    const flat = Object.entries(headers).flatMap(([name, value]) => [name, String(value)])
    return { status: statusCode, headers: flat, body: rawPayload }
  }

  #cached({ method, url = '', headers }: IncomingMessage): Answer | undefined {
    if (method !== 'GET') return undefined
    const answer = this.#cache.get(url)
    return answer !== undefined && isConditional(headers) ? undefined : answer
  }

  #createApp(): FastifyInstance {
    const app = fastify({
      routerOptions: { ignoreTrailingSlash: true, maxParamLength: 2 * KIB },
      exposeHeadRoutes: true,
      bodyLimit: Number.MAX_SAFE_INTEGER, // bodies are read by their handlers, each with its own bound
      frameworkErrors: (_error, request, reply) => {
        reply.hijack()
        void this.#reply(request.raw, reply.raw, () => envelope(400, 'invalid name'))
      },
    })
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, _payload, done) => done(null))
    for (const route of this.#routes) {
      if (route.method === 'INFO') continue // see `info`
      app.route<{ Params: Record<string, string> }>({
        method: route.method,
        url: route.path,
        handler: (request, reply) => {
          reply.hijack()
          void this.#serve(route, request.raw, reply.raw, request.params)
        },
      })
    }
    app.setNotFoundHandler((request, reply) => {
      reply.hijack()
      void this.#reply(request.raw, reply.raw, () =>
        this.#unrouted(request.raw.method, pathOf(request.raw.url)),
      )
    })
    return app
  }

  async #serve(
    route: Route,
    request: IncomingMessage,
    response: ServerResponse,
    params: Readonly<Record<string, string>>,
  ): Promise<void> {
    const revision = this.#deps.repositories.totalRevision
    const answer = await this.#reply(request, response, () => {
      if (/%2f/i.test(pathOf(request.url))) return envelope(404) // a slash by any other name is no part of a name
      const actor = this.#deps.gatekeeper.admit(route, request, this.#operators.has(request))
      return route.handle(createCall(request, response, params, actor))
    })
    if (answer.status === 200 && route.isCached === true && answer.isPassing !== true)
      this.#keep(request, answer, revision)
  }

  #keep({ method, url = '', headers }: IncomingMessage, answer: Answer, revision: number): void {
    if (method !== 'GET' || url.includes('?') || isConditional(headers)) return
    this.#cache.set(url, answer, revision)
  }

  /** Runs a handler and sends what it answers, or what its failure means. */
  async #reply(
    request: IncomingMessage,
    response: ServerResponse,
    handle: () => Answer | Promise<Answer>,
  ): Promise<Answer> {
    let answer: Answer
    try {
      answer = await handle()
    } catch (error) {
      answer = answerOf(error)
      if (isWorthLogging(error)) this.#log('request failed', request, error)
    }
    answer = forReader(request, answer)
    if (response.destroyed) return answer // the client is gone
    this.#deps.metrics.count(answer.status)
    await this.#send(request, response, answer)
    return answer
  }

  /** Never rejects. */
  async #send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
    try {
      await (isUnread(request) ? sendEarly : send)(request, response, answer)
    } catch (error) {
      if (isWorthLogging(error)) this.#log('answer cut off', request, error)
    }
  }

  #log(message: string, { method, url }: IncomingMessage, error: unknown): void {
    this.#deps.log.error(message, { method, url: url?.slice(0, 200) }, error)
  }

  /** No route of that method: which there are (405), the automatic answer to OPTIONS, or 404. */
  #unrouted(method: string | undefined, path: string): Answer {
    const matching = this.#routes.filter((route) => matches(route.path, path))
    if (matching.length === 0) return envelope(404)
    const methods = new Set(matching.map(({ method }) => method as string))
    if (methods.has('GET')) methods.add('HEAD')
    const allow = ['Allow', [...methods, 'OPTIONS'].sort().join(', ')]
    return method === 'OPTIONS'
      ? emptyAnswer(200, [...allow, 'Content-Type', 'text/html; charset=utf-8', 'Content-Length', '0'])
      : withHeaders(envelope(405), allow)
  }
}

function createCall(
  request: IncomingMessage,
  response: ServerResponse,
  params: Readonly<Record<string, string>>,
  actor: Actor | undefined,
): Call {
  let leaving: AbortController | undefined
  return {
    request,
    response,
    params,
    isAdministrator: actor?.isAdministrator === true,
    actor: () => {
      if (actor === undefined) throw new TypeError('a public route has no actor')
      return actor
    },
    signal: () => {
      if (leaving === undefined) {
        const controller = new AbortController()
        const leave = () => controller.abort(new DOMException('the client left', 'AbortError'))
        if (response.destroyed) leave()
        else response.once('close', leave)
        leaving = controller
      }
      return leaving.signal
    },
  }
}

function pathOf(url = '/'): string {
  const at = url.indexOf('?')
  return at < 0 ? url : url.slice(0, at)
}

/** The path with each run of slashes as one, or `undefined` when there is none. */
function withoutDoubleSlashes(url: string): string | undefined {
  const path = pathOf(url)
  return path.includes('//') ? path.replace(/\/{2,}/g, '/') + url.slice(path.length) : undefined
}

/** True when a path has the segments of a pattern; only asked when nothing was routed. */
function matches(pattern: string, path: string): boolean {
  const wanted = pattern.replace(/\/$/, '').split('/')
  const given = path.replace(/\/$/, '').split('/')
  if (wanted.length !== given.length) return false
  return wanted.every((segment, at) => segment.startsWith(':') || segment === given[at])
}
