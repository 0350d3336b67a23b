/** An image as a tar: what `docker save` and `podman save` write, or an OCI layout (image-layout.md). */
import { InvalidInputError, LimitError, MalformedError } from '../errors.ts'
import { MIB } from '../util/units.ts'
import { parseImageConfig, type ImageConfig } from './config.ts'
import { choose, parseManifest, type Descriptor, type Manifest, type Offer } from './manifest.ts'
import type { Platform } from './platform.ts'
import { Spool, type Extent, type SpoolOptions } from './spool.ts'
import { normalPath, tarFiles } from './tar-files.ts'
import { Verifier, verify } from './verified.ts'

const MAX_JSON_BYTES = 8 * MIB
const MAX_LINKS = 8
const MAX_INDEXES = 3

export interface ArchivedImage {
  readonly config: ImageConfig
  /** The lowest first. */
  readonly layers: ReadonlyArray<{
    readonly sizeBytes: number
    readonly bytes: () => AsyncIterable<Uint8Array>
  }>
}

export class ImageArchive {
  readonly #spool: Spool
  readonly #files = new Map<string, Extent>()
  readonly #links = new Map<string, string>()

  private constructor(spool: Spool) {
    this.#spool = spool
  }

  /** Reads a plain tar to its end; layers may come in any order, so all of it is put aside. */
  static async read(tar: AsyncIterable<Uint8Array>, options: SpoolOptions): Promise<ImageArchive> {
    const archive = new ImageArchive(await Spool.open(options))
    try {
      await archive.#take(bounded(tar, options.maxBytes))
      return archive
    } catch (error) {
      await archive.close()
      throw error
    }
  }

  close(): Promise<void> {
    return this.#spool.close()
  }

  /** @throws {InvalidInputError} when it holds no image for that platform, or several. */
  async image(platform: Platform): Promise<ArchivedImage> {
    if (this.#find('index.json') !== undefined) return await this.#ociImage(platform)
    if (this.#find('manifest.json') !== undefined) return await this.#dockerImage(platform)
    throw new MalformedError(
      'image',
      'not an image archive: it has neither an index.json nor a manifest.json',
    )
  }

  async #take(tar: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const { path, link, content, sizeBytes } of tarFiles(tar)) {
      this.#files.delete(path)
      this.#links.delete(path)
      if (link === undefined) this.#files.set(path, await this.#spool.write(content, sizeBytes))
      else this.#links.set(path, link.isHard ? normalPath(link.target) : besides(path, link.target))
    }
  }

  async #ociImage(platform: Platform): Promise<ArchivedImage> {
    let found = parseManifest(await this.#json('index.json'), INDEX_TYPE)
    for (let depth = 0; !('layers' in found); depth++) {
      if (depth === MAX_INDEXES) throw new MalformedError('image', 'indexes of this image name only indexes')
      const wanted = choose(withoutDoubles(found), platform)
      found = parseManifest(await this.#blobJson(wanted), wanted.mediaType)
    }
    const config = parseImageConfig(await this.#blobJson(found.config), platform)
    return { config, layers: this.#ociLayers(found) }
  }

  #ociLayers({ layers }: Manifest): ArchivedImage['layers'] {
    return layers.map((layer) => {
      const extent = this.#need(blobPath(layer.digest))
      return { sizeBytes: extent.length, bytes: () => this.#verified(extent, layer) }
    })
  }

  async #dockerImage(platform: Platform): Promise<ArchivedImage> {
    const { configPath, layerPaths } = parseDockerManifest(await this.#json('manifest.json'))
    const bytes = await this.#json(configPath)
    const named = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(configPath)?.[1]
    if (named !== undefined) verify(bytes, { digest: `sha256:${named}`, sizeBytes: bytes.length })
    const config = parseImageConfig(bytes, platform)
    if (config.layerDigests.length !== layerPaths.length)
      throw new MalformedError('image', 'the image archive has other layers than its configuration names')
    const layers = layerPaths.map((path, at) => {
      const extent = this.#need(normalPath(path))
      const digest = config.layerDigests[at] ?? ''
      return { sizeBytes: extent.length, bytes: () => this.#plainLayer(extent, digest) }
    })
    return { config, layers }
  }

  /** What the configuration knows is the digest of the plain tar; of a compressed one its checksum has to do. */
  async *#plainLayer(extent: Extent, digest: string): AsyncGenerator<Uint8Array> {
    let verifier: Verifier | undefined
    let isFirst = true
    for await (const piece of this.#spool.read(extent)) {
      if (isFirst && !isCompressed(piece)) verifier = new Verifier({ digest, sizeBytes: extent.length })
      isFirst = false
      verifier?.update(piece)
      yield piece
    }
    verifier?.finish()
  }

  async *#verified(extent: Extent, expected: Descriptor): AsyncGenerator<Uint8Array> {
    const verifier = new Verifier(expected)
    for await (const piece of this.#spool.read(extent)) {
      verifier.update(piece)
      yield piece
    }
    verifier.finish()
  }

  async #blobJson(descriptor: Descriptor): Promise<Buffer> {
    const bytes = await this.#json(blobPath(descriptor.digest))
    verify(bytes, descriptor)
    return bytes
  }

  async #json(path: string): Promise<Buffer> {
    const extent = this.#need(normalPath(path))
    if (extent.length > MAX_JSON_BYTES)
      throw new LimitError(`${path} of an image archive`, MAX_JSON_BYTES, 'bytes')
    const pieces: Uint8Array[] = []
    for await (const piece of this.#spool.read(extent)) pieces.push(piece)
    return Buffer.concat(pieces)
  }

  #need(path: string): Extent {
    const extent = this.#find(path)
    if (extent !== undefined) return extent
    throw new MalformedError(
      'image',
      `the image archive has no ${JSON.stringify(path.slice(0, 200))}, which it names`,
    )
  }

  #find(path: string): Extent | undefined {
    let at = path
    for (let links = 0; links <= MAX_LINKS; links++) {
      const extent = this.#files.get(at)
      if (extent !== undefined) return extent
      const next = this.#links.get(at)
      if (next === undefined) return undefined
      at = next
    }
    return undefined
  }
}

/** Also what is passed over counts, and what follows the last member: unpacking a bomb takes time, if no room. */
async function* bounded(tar: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const piece of tar) {
    bytes += piece.length
    if (bytes > maxBytes) throw new LimitError('image archive', maxBytes, 'bytes')
    yield piece
  }
}

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'

/** A symbolic link leads from the folder it is in. */
function besides(path: string, target: string): string {
  return normalPath(target.startsWith('/') ? target : `${path.slice(0, path.lastIndexOf('/') + 1)}${target}`)
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`
}

/** An image of several names stands there several times. */
function withoutDoubles(offers: readonly Offer[]): Offer[] {
  const first = [...new Map(offers.toReversed().map((offer) => [offer.digest, offer])).values()].toReversed()
  const unnamed = first.filter(({ platform }) => platform === undefined)
  if (unnamed.length > 1) throw severalImages(unnamed.length)
  return unnamed.length === 1 && first.length > 1
    ? first.filter(({ platform }) => platform !== undefined)
    : first
}

function parseDockerManifest(bytes: Buffer): { configPath: string; layerPaths: readonly string[] } {
  let images: unknown
  try {
    images = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new MalformedError('image', 'the manifest.json of the image archive is no JSON', { cause })
  }
  if (!Array.isArray(images) || images.length === 0)
    throw new MalformedError('image', 'the manifest.json of the image archive lists no image')
  if (images.length > 1) throw severalImages(images.length)
  const { Config: configPath, Layers: layerPaths } = (images[0] ?? {}) as Record<string, unknown>
  const isList = Array.isArray(layerPaths) && layerPaths.every((path) => typeof path === 'string')
  if (typeof configPath !== 'string' || !isList)
    throw new MalformedError('image', 'the manifest.json of the image archive is not what docker writes')
  return { configPath, layerPaths }
}

function severalImages(count: number): InvalidInputError {
  return new InvalidInputError(`the image archive holds ${count} images: save one alone`)
}

function isCompressed(start: Uint8Array): boolean {
  const isGzip = start[0] === 0x1f && start[1] === 0x8b
  return isGzip || (start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd)
}
