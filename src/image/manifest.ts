/** What registries and archives say of an image. OCI image specification: manifest.md, image-index.md, config.md. */
import { InvalidInputError, LimitError, MalformedError } from '../errors.ts'
import { isDigest } from './reference.ts'
import { fitOf, showPlatform, type Platform } from './platform.ts'

/** Content by its digest. */
export interface Descriptor {
  readonly mediaType: string
  /** `sha256:` and 64 hex digits. */
  readonly digest: string
  readonly sizeBytes: number
}

export interface Manifest {
  readonly config: Descriptor
  /** The lowest first. */
  readonly layers: readonly Descriptor[]
}

export interface Offer extends Descriptor {
  readonly platform: Platform | undefined
}

const OCI = 'application/vnd.oci.image'
const DOCKER = 'application/vnd.docker'
const MANIFESTS = [`${OCI}.manifest.v1+json`, `${DOCKER}.distribution.manifest.v2+json`]
const INDEXES = [`${OCI}.index.v1+json`, `${DOCKER}.distribution.manifest.list.v2+json`]
const CONFIGS = [`${OCI}.config.v1+json`, `${DOCKER}.container.image.v1+json`]
const LAYER =
  /^application\/vnd\.(?:oci\.image\.layer\.v1\.tar(?:\+(?:gzip|zstd))?|docker\.image\.rootfs\.diff\.tar(?:\.(?:gzip|zstd))?)$/
const FOREIGN = /nondistributable|foreign/

/** What we ask registries for. */
export const ACCEPTED = [...MANIFESTS, ...INDEXES].join(', ')

const MAX_LAYERS = 256
const MAX_OFFERS = 1024

/** A manifest, or an index of them. @throws {MalformedError | LimitError} for anything else, naming it. */
export function parseManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
): Manifest | readonly Offer[] {
  const value = parseObject(bytes, 'manifest')
  const said = value['mediaType'] ?? contentType?.replace(/;.*$/s, '').trim()
  const mediaType = typeof said === 'string' ? said : ''
  if (value['schemaVersion'] === 1) throw malformed('it is of schema 1, which no engine writes any more')
  if (INDEXES.includes(mediaType) || (Array.isArray(value['manifests']) && !MANIFESTS.includes(mediaType)))
    return listOf(value['manifests'], 'manifests', MAX_OFFERS).map(parseOffer)
  const isManifest = MANIFESTS.includes(mediaType) || value['layers'] !== undefined
  if (!isManifest) throw malformed(`it is of the type ${JSON.stringify(mediaType.slice(0, 100))}`)
  const config = parseDescriptor(value['config'])
  if (!CONFIGS.includes(config.mediaType))
    throw malformed(
      `what it describes is no container image but ${JSON.stringify(config.mediaType.slice(0, 100))}`,
    )
  return { config, layers: listOf(value['layers'], 'layers', MAX_LAYERS).map(parseLayer) }
}

function parseLayer(value: unknown): Descriptor {
  const layer = parseDescriptor(value)
  const { urls } = value as { urls?: unknown }
  if (FOREIGN.test(layer.mediaType) || (Array.isArray(urls) && urls.length > 0))
    throw malformed('a layer of it is foreign: it lies on another server than the registry')
  if (!LAYER.test(layer.mediaType))
    throw malformed(`a layer of it is of the type ${JSON.stringify(layer.mediaType.slice(0, 100))}`)
  return layer
}

function parseOffer(value: unknown): Offer {
  const { platform } = (value ?? {}) as { platform?: unknown }
  return { ...parseDescriptor(value), platform: parsePlatformObject(platform) }
}

function parsePlatformObject(value: unknown): Platform | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { os, architecture, variant } = value as Record<string, unknown>
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined
  return { os, architecture, ...(typeof variant === 'string' && variant !== '' ? { variant } : {}) }
}

function parseDescriptor(value: unknown): Descriptor {
  const { mediaType, digest, size } = (value ?? {}) as Record<string, unknown>
  if (typeof digest !== 'string' || !isDigest(digest))
    throw malformed('a digest in it is none of sha256, the only kind that is taken')
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw malformed('a size in it is none')
  return { mediaType: typeof mediaType === 'string' ? mediaType : '', digest, sizeBytes: size }
}

/** The one that fits best; of equals the first. @throws {InvalidInputError} naming what there is. */
export function choose(offers: readonly Offer[], wanted: Platform): Descriptor {
  let best: Offer | undefined
  let bestFit = 0
  for (const offer of offers) {
    const fit = offer.platform === undefined ? 0 : fitOf(offer.platform, wanted)
    if (fit > bestFit) [best, bestFit] = [offer, fit]
  }
  // An index that says nothing of platforms holds one image.
  if (best === undefined && offers.length === 1 && offers[0]?.platform === undefined) [best] = offers
  if (best !== undefined) return best
  const there = offers.flatMap(({ platform }) => (platform === undefined ? [] : [showPlatform(platform)]))
  const known = [...new Set(there)].filter((one) => one !== 'unknown/unknown').slice(0, 20)
  throw new InvalidInputError(
    `the image is not made for ${showPlatform(wanted)}${known.length === 0 ? '' : `, but for ${known.join(', ')}`}`,
  )
}

/** A JSON object. @throws {MalformedError} */
export function parseObject(bytes: Uint8Array, what: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new MalformedError('image', `the ${what} of the image is no JSON`, { cause })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  throw new MalformedError('image', `the ${what} of the image is no JSON object`)
}

function listOf(value: unknown, what: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(`it has no list of ${what}`)
  if (value.length > max) throw new LimitError(`${what} of an image`, max, what)
  return value
}

function malformed(reason: string): MalformedError {
  return new MalformedError('image', `the manifest of the image is not taken: ${reason}`)
}
