/** A registry on 127.0.0.1 that speaks the distribution specification over real HTTP, and lies where a test wants it to. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json'
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
export const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json'
export const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip'

export interface TestDescriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly platform?: object
  readonly urls?: readonly string[]
}

export interface ImageParts {
  /** As they are stored: compressed or not. */
  readonly layers: readonly Uint8Array[]
  /** The `config` member: Entrypoint, Cmd, Env, WorkingDir. */
  readonly config?: object
  /** Beside `config`: os, architecture and the like. */
  readonly outer?: object
  readonly layerType?: string
  readonly isDocker?: boolean
  /** Changes what the manifest says. */
  readonly edit?: (manifest: { config: TestDescriptor; layers: TestDescriptor[] }) => object
}

type Handler = (request: IncomingMessage, response: ServerResponse) => boolean | void

export class TestRegistry {
  readonly #server: Server
  readonly #manifests = new Map<string, { type: string; bytes: Buffer }>()
  readonly #blobs = new Map<string, Buffer>()
  /** `METHOD url`, with the header named when it is there. */
  readonly requests: Array<{ url: string; authorization: string | undefined; range: string | undefined }> = []
  /** Answers in the registry's place when it answers true. */
  intercept: Handler = () => false

  private constructor(server: Server) {
    this.#server = server
    server.on('request', (request, response) => this.#answer(request, response))
  }

  static async start(): Promise<TestRegistry> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new TestRegistry(server)
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get url(): string {
    return `http://${this.host}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  blob(bytes: Uint8Array, mediaType: string): TestDescriptor {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length }
    this.#blobs.set(descriptor.digest, Buffer.from(bytes))
    return descriptor
  }

  /** Stores an image, and names it when `name` is `repository:tag`. */
  push(name: string | undefined, parts: ImageParts): TestDescriptor {
    const { layers, isDocker = false, layerType = isDocker ? DOCKER_LAYER : OCI_LAYER } = parts
    const described = layers.map((layer) => this.blob(layer, layerType))
    const config = this.blob(configBytes(parts), isDocker ? DOCKER_CONFIG : OCI_CONFIG)
    const mediaType = isDocker ? DOCKER_MANIFEST : OCI_MANIFEST
    const manifest = { schemaVersion: 2, mediaType, config, layers: described }
    return this.putManifest(name, { ...manifest, ...parts.edit?.(manifest) }, mediaType)
  }

  pushIndex(name: string, manifests: readonly TestDescriptor[], mediaType = OCI_INDEX): TestDescriptor {
    return this.putManifest(name, { schemaVersion: 2, mediaType, manifests }, mediaType)
  }

  putManifest(name: string | undefined, manifest: object | string, type: string): TestDescriptor {
    const bytes = Buffer.from(typeof manifest === 'string' ? manifest : JSON.stringify(manifest))
    this.#manifests.set(digestOf(bytes), { type, bytes })
    if (name !== undefined) this.#manifests.set(name, { type, bytes })
    return { mediaType: type, digest: digestOf(bytes), size: bytes.length }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { url = '', headers } = request
    this.requests.push({ url, authorization: headers.authorization, range: headers.range })
    if (this.intercept(request, response) === true) return
    const match = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url)
    const [, repository = '', kind, reference = ''] = match ?? []
    if (kind === 'manifests') {
      const found = this.#manifests.get(reference) ?? this.#manifests.get(`${repository}:${reference}`)
      if (found !== undefined) return void response.setHeader('Content-Type', found.type).end(found.bytes)
    }
    const blob = kind === 'blobs' ? this.#blobs.get(reference) : undefined
    if (blob !== undefined) return sendRange(response, blob, headers.range)
    response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
  }
}

function sendRange(response: ServerResponse, blob: Buffer, range: string | undefined): void {
  const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
  if (start > 0)
    response.writeHead(206, { 'Content-Range': `bytes ${start}-${blob.length - 1}/${blob.length}` })
  response.end(blob.subarray(start))
}

export function configBytes({ config = {}, outer = {}, layers }: ImageParts): Buffer {
  const rootfs = { type: 'layers', diff_ids: layers.map(digestOf) }
  return Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', config, rootfs, ...outer }))
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
