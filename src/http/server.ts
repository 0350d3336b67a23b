/**
 * The listeners: TCP for everybody, a unix socket for the owner of the process, one app behind all. They answer 503
 * from the first moment, so that a client that comes early knows to come back.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { HostPort } from '../util/parse.ts'
import { KIB, SECOND_MS } from '../util/units.ts'
import { envelope, withHeaders } from './answer.ts'
import { holdContinue } from './body.ts'
import type { HttpDeps, SiteOptions } from './deps.ts'
import { RETRY_AFTER_S } from './errors.ts'
import type { Jobs } from './jobs.ts'
import { answerUnparsed } from './unparsed.ts'
import { listenTcp, listenUnix } from './listen.ts'
import { HttpMetrics, type MetricSource } from './metrics.ts'
import { Router } from './router.ts'
import { routesOf } from './routes.ts'
import { send } from './send.ts'
import { createSite } from './site.ts'

/** Security.md row 12. */
const LIMITS = {
  headersTimeout: 10 * SECOND_MS,
  requestTimeout: 0, // bodies have a floor of their own (body.ts): an upload may take hours
  keepAliveTimeout: 5 * SECOND_MS,
  maxHeaderSize: 16 * KIB,
  requireHostHeader: false, // no route depends on it, and a refusal by node would lack our headers
  connectionsCheckingInterval: 2 * SECOND_MS,
  /** Of all listeners together. */
  maxConnections: 4096,
}

/** How long requests in flight may take once the node stops. */
const STOP_PATIENCE_MS = 5 * SECOND_MS

export interface ListenOptions {
  readonly listen: readonly HostPort[]
  /** Addresses whose X-Forwarded-For is believed. */
  readonly trustedProxies?: readonly string[]
  /** Other bounds than the documented ones: for tests. */
  readonly limits?: Partial<typeof LIMITS>
}

export interface HttpServer {
  /** Listens, and answers 503 until `open`. Resolves to the addresses, with their ports, in the order of `listen`. */
  start(): Promise<HostPort[]>
  /**
   * The same on a unix socket, whose clients are the local operator.
   * @throws {UnavailableError} when a living process answers there.
   */
  startControl(path: string): Promise<void>
  /** From now on requests are answered. */
  open(deps: HttpDeps, options: SiteOptions, metrics?: readonly MetricSource[]): Promise<Router>
  /** 503 for what comes until the next `open`, and time to finish for what is in flight. */
  shut(): Promise<void>
  /** As `shut`, then silence. Resolves when no handle is left. */
  stop(): Promise<void>
}

export function createHttpServer(options: ListenOptions): HttpServer {
  return new Listeners(options)
}

class Listeners implements HttpServer {
  readonly #listen: readonly HostPort[]
  readonly #trustedProxies: readonly string[]
  readonly #limits: typeof LIMITS
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  #router: Router | undefined
  #jobs: Jobs | undefined
  #inFlight = 0
  #idle: (() => void) | undefined

  constructor(options: ListenOptions) {
    this.#listen = options.listen
    this.#trustedProxies = options.trustedProxies ?? []
    this.#limits = { ...LIMITS, ...options.limits }
  }

  async start(): Promise<HostPort[]> {
    const addresses: HostPort[] = []
    for (const { host, port } of this.#listen) {
      const server = this.#createServer(false)
      await listenTcp(server, { host, port })
      addresses.push({ host, port: (server.address() as AddressInfo).port })
    }
    return addresses
  }

  async startControl(path: string): Promise<void> {
    await listenUnix(this.#createServer(true), path)
  }

  async open(deps: HttpDeps, options: SiteOptions, sources: readonly MetricSource[] = []): Promise<Router> {
    const { repositories, log } = deps
    const connections = {
      name: 'zhub_http_connections',
      help: 'Open connections of the API',
      read: () => this.#sockets.size,
    }
    const metrics = new HttpMetrics([...sources, connections], () => deps.replicated.metrics())
    const site = createSite(deps, options, this.#trustedProxies)
    const routes = routesOf(site, metrics)
    const router = new Router(
      routes,
      { repositories, gatekeeper: site.gatekeeper, metrics, log },
      {
        cacheBytes: options.cacheBytes / 4,
      },
    )
    await router.app.ready()
    this.#router = router
    this.#jobs = site.jobs
    return router
  }

  async shut(): Promise<void> {
    const router = this.#router
    this.#router = undefined
    await this.#finish()
    if (this.#inFlight > 0) for (const socket of this.#sockets) socket.destroy()
    await router?.app.close()
  }

  async stop(): Promise<void> {
    const router = this.#router
    this.#router = undefined
    const closed = this.#servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve)))
    await this.#finish()
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closed)
    await router?.app.close()
  }

  async #finish(): Promise<void> {
    const jobs = this.#jobs
    this.#jobs = undefined
    if (jobs !== undefined) await patiently(jobs.stop()) // who listens to one is told its end
    if (this.#inFlight > 0) await patiently(new Promise<void>((resolve) => (this.#idle = resolve)))
  }

  #createServer(isOperator: boolean): Server {
    const server = createServer(this.#limits, (request, response) =>
      this.#handle(request, response, isOperator),
    )
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      holdContinue(request)
      this.#handle(request, response, isOperator)
    })
    server.on('connection', (socket: Socket) => this.#admit(socket))
    server.on('clientError', (error, socket) => answerUnparsed(error, socket as Socket, this.#router))
    this.#servers.push(server)
    return server
  }

  #admit(socket: Socket): void {
    if (this.#sockets.size >= this.#limits.maxConnections) return void socket.destroy()
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  #handle(request: IncomingMessage, response: ServerResponse, isOperator: boolean): void {
    this.#inFlight++
    response.once('close', () => {
      this.#inFlight--
      if (this.#inFlight === 0) this.#idle?.()
    })
    if (this.#router === undefined) send(request, response, UNAVAILABLE).catch(() => response.destroy())
    else this.#router.handle(request, response, isOperator)
  }
}

/** Resolves when this does, or when it has taken too long. */
async function patiently(ending: Promise<void>): Promise<void> {
  const patience = new Promise<void>((resolve) => setTimeout(resolve, STOP_PATIENCE_MS).unref())
  await Promise.race([ending, patience])
}

const UNAVAILABLE = withHeaders(envelope(503, 'the node is starting or stopping'), [
  ...['Retry-After', String(RETRY_AFTER_S)],
  ...['Connection', 'close'],
])
