import { InvalidInputError, LimitError, MalformedError } from '../errors.ts'
import { KIB } from '../util/units.ts'
import { parseObject } from './manifest.ts'
import { fitOf, showPlatform, type Platform } from './platform.ts'

/** How an image wants to be started, and what it is made of. OCI image specification, config.md. */
export interface ImageConfig {
  /** Entrypoint and Cmd as one; `/bin/sh` when there is neither. */
  readonly argv: readonly [name: string, ...rest: string[]]
  readonly hasEntrypoint: boolean
  /** One word of Entrypoint, and no Cmd, not even an empty one. */
  readonly isBareEntrypoint: boolean
  /** The last of each name. */
  readonly environment: ReadonlyMap<string, string>
  readonly workingDirectory: string
  /** sha256 of each layer as plain tar. */
  readonly layerDigests: readonly string[]
}

const MAX_TEXTS = 4096
const MAX_TEXT_BYTES = 128 * KIB

/** @throws {MalformedError | LimitError}, or {InvalidInputError} when it is made for something else than `wanted`. */
export function parseImageConfig(bytes: Uint8Array, wanted: Platform): ImageConfig {
  const value = parseObject(bytes, 'configuration')
  checkPlatform(value, wanted)
  const start = objectIn(value, 'config')
  const entrypoint = texts(start, 'Entrypoint')
  const [name = '/bin/sh', ...rest] = [...entrypoint, ...texts(start, 'Cmd')]
  const directory = start['WorkingDir']
  const pairs = texts(start, 'Env').map((entry): [string, string] => {
    const at = entry.indexOf('=')
    return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)]
  })
  return {
    argv: [name, ...rest],
    hasEntrypoint: entrypoint.length > 0,
    isBareEntrypoint: entrypoint.length === 1 && (start['Cmd'] ?? null) === null,
    environment: new Map(pairs.filter(([key]) => key !== '')),
    workingDirectory: typeof directory === 'string' && directory !== '' ? checked(directory) : '/',
    layerDigests: texts(objectIn(value, 'rootfs'), 'diff_ids'),
  }
}

function checkPlatform(
  { os, architecture, variant }: Readonly<Record<string, unknown>>,
  wanted: Platform,
): void {
  if (typeof os !== 'string' || typeof architecture !== 'string' || os === '' || architecture === '') return
  const made = { os, architecture, ...(typeof variant === 'string' && variant !== '' ? { variant } : {}) }
  if (fitOf(made, wanted) > 0) return
  throw new InvalidInputError(
    `the image is not made for ${showPlatform(wanted)}, but for ${showPlatform(made)}`,
  )
}

function objectIn(value: Readonly<Record<string, unknown>>, key: string): Readonly<Record<string, unknown>> {
  const found = value[key]
  return typeof found === 'object' && found !== null ? (found as Record<string, unknown>) : {}
}

/** A list of texts; null and none are empty. */
function texts(value: Readonly<Record<string, unknown>>, key: string): string[] {
  const found = value[key] ?? []
  if (!Array.isArray(found)) throw malformed(key)
  if (found.length > MAX_TEXTS) throw new LimitError(`${key} of an image`, MAX_TEXTS, 'entries')
  return found.map((text: unknown) => {
    if (typeof text !== 'string') throw malformed(key)
    return checked(text)
  })
}

function checked(text: string): string {
  if (text.length > MAX_TEXT_BYTES)
    throw new LimitError('text in the configuration of an image', MAX_TEXT_BYTES, 'bytes')
  if (text.includes('\0'))
    throw new MalformedError('image', 'the configuration of the image has a NUL in a text')
  return text
}

function malformed(key: string): MalformedError {
  return new MalformedError(
    'image',
    `the configuration of the image is not taken: ${key} is no list of texts`,
  )
}
