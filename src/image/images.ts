/** Images as layers of bytes, from registries and from archives: everything outside of them is untrusted. */
import { LimitError, MalformedError, UnavailableError } from '../errors.ts'
import { HOUR_MS, SECOND_MS, type AbortOptions } from '../util/units.ts'
import { RegistryAuth } from './auth.ts'
import { parseImageConfig, type ImageConfig } from './config.ts'
import type { CredentialBook } from './credentials.ts'
import { Fetcher, type FetcherOptions } from './fetch.ts'
import { ImageArchive } from './image-archive.ts'
import { parsePlatform, type Platform } from './platform.ts'
import { parseImageReference } from './reference.ts'
import type { RegistryList } from './registries.ts'
import { RegistryClient } from './registry-client.ts'
import type { RetryOptions } from './retry.ts'
import { startupLayer, startupMetadata } from './startup.ts'

export interface ImageProgress {
  /** From 1. */
  readonly layer: number
  readonly layers: number
  /** Of all layers, as they are sent. */
  readonly doneBytes: number
  readonly totalBytes: number
}

export interface OpenOptions extends AbortOptions {
  /** `os/architecture[/variant]`, the node's unless told; asked once an archive has ended. */
  readonly platform?: (() => string | undefined) | undefined
  readonly onProgress?: ((progress: ImageProgress) => void) | undefined
}

export interface OpenImage {
  /** Layers as their bytes are stored, the lowest first, and one with `/.startup.toml`; to be read once, in order. */
  readonly layers: AsyncIterable<AsyncIterable<Uint8Array>>
  /** Rows for the flist's metadata table. */
  readonly metadata: ReadonlyMap<string, string>
  /** Gives up what is under way, and leaves nothing behind. */
  close(): Promise<void>
}

export interface ImagesOptions {
  readonly registries: RegistryList
  readonly credentials: CredentialBook
  readonly platform: Platform
  /** Of all layers of an image together, as they are sent; and of an archive, unpacked. */
  readonly maxBytes: number
  /** From the first request to the last byte. */
  readonly maxMs?: number
  readonly fetch?: FetcherOptions
  readonly retry?: RetryOptions
  readonly archives: {
    readonly directory: string
    readonly requireSpace: (bytes: number) => Promise<void>
    /** The tar stream of an archive that may be compressed. */
    readonly decompress: (archive: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>
  }
}

interface Layer {
  readonly sizeBytes: number
  readonly bytes: () => AsyncIterable<Uint8Array>
}

const MAX_MS = 1 * HOUR_MS

export class Images {
  readonly #options: ImagesOptions
  readonly #fetcher: Fetcher

  constructor(options: ImagesOptions) {
    this.#options = options
    this.#fetcher = new Fetcher(options.registries, options.fetch)
  }

  /**
   * An image of a registry, as `docker pull` names it.
   * @throws {ImageNotFoundError} for one that is not there, or not for us; {RegistryError} when it fails;
   * {ForbiddenError} when it may not be asked; {MalformedError | CorruptError | LimitError} for what it says.
   */
  async pull(image: string, options: OpenOptions): Promise<OpenImage> {
    const reference = parseImageReference(image)
    const platform = this.#platform(options)
    const registry = this.#options.registries.find(reference.registry)
    const work = new Work(options.signal, this.#options.maxMs ?? MAX_MS)
    try {
      const auth = new RegistryAuth(this.#fetcher, this.#options.credentials.get(registry.account))
      const { retry } = this.#options
      const client = new RegistryClient(registry, reference, {
        auth,
        signal: work.signal,
        ...(retry === undefined ? {} : { retry }),
      })
      const manifest = await client.manifest(reference, platform)
      const config = parseImageConfig(await client.config(manifest), platform)
      if (config.layerDigests.length !== manifest.layers.length)
        throw new MalformedError('image', 'the image has other layers than its configuration names')
      const layers = manifest.layers.map((layer) => ({
        sizeBytes: layer.sizeBytes,
        bytes: () => client.blob(layer),
      }))
      return this.#open(config, layers, options, () => work.end())
    } catch (error) {
      work.end()
      throw error
    }
  }

  /** An image in an archive: what `docker save` writes, or an OCI layout; as tar, or compressed. */
  async openArchive(archive: AsyncIterable<Uint8Array>, options: OpenOptions): Promise<OpenImage> {
    const { maxBytes, archives } = this.#options
    const { directory, requireSpace, decompress } = archives
    const read = await ImageArchive.read(decompress(archive), { directory, requireSpace, maxBytes })
    try {
      const { config, layers } = await read.image(this.#platform(options))
      return this.#open(config, layers, options, () => read.close())
    } catch (error) {
      await read.close()
      throw error
    }
  }

  #platform({ platform }: OpenOptions): Platform {
    const text = platform?.()
    return text === undefined ? this.#options.platform : parsePlatform(text)
  }

  #open(
    config: ImageConfig,
    layers: readonly Layer[],
    { onProgress }: OpenOptions,
    close: () => Promise<void> | void,
  ): OpenImage {
    const totalBytes = layers.reduce((total, { sizeBytes }) => total + sizeBytes, 0)
    const { maxBytes } = this.#options
    if (totalBytes > maxBytes) throw new LimitError('layers of an image', maxBytes, 'bytes')
    return {
      layers: inOrder(layers, startupLayer(config), (layer, doneBytes) =>
        onProgress?.({ layer, layers: layers.length, doneBytes, totalBytes }),
      ),
      metadata: startupMetadata(config),
      close: async () => close(),
    }
  }
}

async function* inOrder(
  layers: readonly Layer[],
  last: Uint8Array,
  onProgress: (layer: number, doneBytes: number) => void,
): AsyncGenerator<AsyncIterable<Uint8Array>> {
  let doneBytes = 0
  for (const [at, layer] of layers.entries()) {
    onProgress(at + 1, doneBytes)
    yield counted(layer.bytes(), (bytes) => onProgress(at + 1, (doneBytes += bytes)))
  }
  yield only(last)
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    yield piece
    onBytes(piece.length)
  }
}

async function* only<T>(value: T): AsyncGenerator<T> {
  yield value
}

/** What a caller's leaving, or the time that all may take, ends. */
class Work {
  readonly signal: AbortSignal
  readonly #ending = new AbortController()
  readonly #timer: NodeJS.Timeout

  constructor(signal: AbortSignal | undefined, maxMs: number) {
    this.signal = AbortSignal.any([this.#ending.signal, ...(signal === undefined ? [] : [signal])])
    const late = () => this.#ending.abort(new LimitError('time for an image', maxMs / SECOND_MS, 's'))
    this.#timer = setTimeout(late, maxMs).unref()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#ending.abort(new UnavailableError('this image is closed'))
  }
}
