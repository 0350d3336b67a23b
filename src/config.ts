/** Settings table → frozen values. The only reader of the environment. Precedence: default < file < environment < flag. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { InvalidInputError } from './errors.ts'
import { parseCredentials, parseDockerConfig, type CredentialBook } from './image/credentials.ts'
import { parsePlatform, type Platform } from './image/platform.ts'
import { RegistryList } from './image/registries.ts'
import { parseJwtKeys, type JwtKey } from './repo/jwt.ts'
import { MIRROR, parseSubscription, type Subscription } from './sync/subscription.ts'
import { environmentName, SETTINGS, type Setting, type SettingKey } from './settings.ts'
import type { LogLevel } from './util/logger.ts'
import { isLoopback, parseDuration, parseHostPort, parseSize, type HostPort } from './util/parse.ts'
import { DAY_MS } from './util/units.ts'

/** Environment names with our prefix that are no settings: the token of commands, and what the test suite knows. */
const NOT_SETTINGS = /^ZHUB_(?:TOKEN$|SIMULATIONS$|(?:TEST|FUZZ|CRASH|BENCH)_)/

export interface ChunkAddress {
  readonly namespace: string
  readonly host: string
  readonly port: number
}

export interface Limits {
  readonly maxUploadBytes: number
  readonly maxPlainBytes: number
  readonly maxRatio: number
  readonly maxEntries: number
  readonly maxDepth: number
  readonly maxFlistBytes: number
  readonly spillEntries: number
  readonly uploads: number
}

/** Where images to convert may come from. */
export interface ImageSettings {
  readonly registries: RegistryList
  readonly credentials: CredentialBook
  readonly platform: Platform
}

/** What a node does among peers, once it is in a realm. */
export interface FarmSettings {
  /** Multiaddrs, as the next three. */
  readonly listen: readonly string[]
  /** Instead of where it listens; empty = there. */
  readonly announce: readonly string[]
  readonly peers: readonly string[]
  readonly bootstrap: readonly string[]
  readonly mdns: boolean
  readonly subscription: Subscription
  /** 0 = no bound; as the next two, in bytes a second. */
  readonly quotaBytes: number
  readonly rateUp: number
  readonly rateDown: number
}

export interface Config {
  readonly data: string
  readonly http: readonly HostPort[]
  readonly resp: readonly HostPort[]
  readonly respPassword: string | undefined
  readonly farm: FarmSettings
  readonly publicUrl: string | undefined
  readonly publicChunks: ChunkAddress | undefined
  readonly flistBackend: 'auto' | 'local' | 'keep'
  readonly auth: boolean
  readonly readonly: boolean
  /** Milliseconds; 0 = for ever. */
  readonly tokenTtlMs: number
  readonly threebotSeed: Uint8Array | undefined
  /** X25519, 32 bytes. */
  readonly threebotKey: Uint8Array | undefined
  readonly threebotAppId: string | undefined
  /** `undefined`: nobody signs in by 3Bot. */
  readonly threebotLoginUrl: string | undefined
  /** Whose JSON web tokens are taken. */
  readonly jwtKeys: readonly JwtKey[]
  readonly jwtAllowNoExpiry: boolean
  readonly guestToken: string | undefined
  /** Virtual user → 3bot name. */
  readonly usersMap: ReadonlyMap<string, string>
  readonly official: readonly string[]
  readonly images: ImageSettings
  readonly log: LogLevel
  readonly logFormat: 'text' | 'json'
  readonly trustedProxies: readonly string[]
  readonly limits: Limits
  readonly minFreeBytes: number
  readonly chunkCacheBytes: number
  readonly flistCacheBytes: number
  readonly gcEveryMs: number
  readonly gcGraceMs: number
  readonly keepVersions: number
  readonly keepForMs: number
  readonly scrubPercent: number
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Texts by setting key, as flags gave them: `--public-url X` is `{ 'public-url': 'X' }`. */
export type Flags = Readonly<Partial<Record<SettingKey, string>>>

/** @throws {InvalidInputError} naming the setting that is unknown, badly written or refused. */
export function loadConfig(environment: Environment, flags: Flags = {}): Config {
  const fromEnvironment = readEnvironment(environment)
  const file = flags.config ?? fromEnvironment.config
  const texts: Flags = { ...(file === undefined ? {} : readFile(file)), ...fromEnvironment, ...flags }
  const config = toConfig(new Values(texts), environment)
  if (!config.auth && !config.http.every(({ host }) => isLoopback(host))) {
    throw new InvalidInputError('auth: `off` is refused unless http listens on loopback only')
  }
  return Object.freeze(config)
}

/** Folder of a node's data when nobody names one. */
export function defaultDataFolder(environment: Environment): string {
  const base = environment['XDG_DATA_HOME']
  return base !== undefined && base.startsWith('/')
    ? join(base, 'zhub')
    : join(homedir(), '.local', 'share', 'zhub')
}

function toConfig(values: Values, environment: Environment): Config {
  const threebotSeed = values.parsed('3bot-seed', parseSeed, '64 hex digits or base64 of 32 bytes')
  const resp = values.listen('resp')
  const publicUrl = values.parsed('public-url', parseUrl, 'an http or https URL')
  const http = values.listen('http')
  return {
    data: resolve(values.text('data') ?? defaultDataFolder(environment)),
    http,
    resp,
    respPassword: values.text('resp-password'),
    farm: toFarmSettings(values),
    publicUrl,
    publicChunks: values.parsed('public-chunks', parseChunkAddress, 'like zdb://host:9900'),
    flistBackend: values.choice('flist-backend') as Config['flistBackend'],
    auth: values.flag('auth'),
    readonly: values.flag('readonly'),
    tokenTtlMs: values.duration('token-ttl', threebotSeed === undefined ? 30 * DAY_MS : 0),
    threebotSeed,
    threebotKey: values.parsed('3bot-key', parseSeed, 'base64 or 64 hex digits of 32 bytes'),
    threebotAppId: values.text('3bot-appid'),
    threebotLoginUrl: values.parsed('3bot-login-url', parseUrl, 'an http or https URL'),
    jwtKeys: values.list('jwt-keys').flatMap(readJwtKeys),
    jwtAllowNoExpiry: values.flag('jwt-allow-no-exp'),
    guestToken: values.text('guest-token'),
    usersMap: usersMap(values.list('users-map')),
    official: values.list('official'),
    images: toImageSettings(values),
    log: values.choice('log') as LogLevel,
    logFormat: values.choice('log-format') as Config['logFormat'],
    trustedProxies: values.list('trusted-proxies'),
    limits: toLimits(values),
    minFreeBytes: values.size('min-free'),
    chunkCacheBytes: values.size('chunk-cache'),
    flistCacheBytes: values.size('flist-cache'),
    gcEveryMs: values.duration('gc-every'),
    gcGraceMs: values.duration('gc-grace'),
    keepVersions: values.count('keep-versions'),
    keepForMs: values.duration('keep-for'),
    scrubPercent: values.count('scrub'),
  }
}

function toFarmSettings(values: Values): FarmSettings {
  return {
    listen: values.list('p2p'),
    announce: values.list('p2p-announce'),
    peers: values.list('peers'),
    bootstrap: values.isGiven('bootstrap') ? values.list('bootstrap') : defaultBootstrap(),
    mdns: values.flag('mdns'),
    // A list of patterns holds commas itself.
    subscription:
      values.parsed(
        'subscribe',
        parseSubscription,
        'mirror, cache, or repos: and patterns like repos:alice,tf-*',
      ) ?? MIRROR,
    quotaBytes: values.size('quota'),
    rateUp: values.size('rate-up'),
    rateDown: values.size('rate-down'),
  }
}

/** The list that comes with the program; `npm run build` puts it there. */
function defaultBootstrap(): readonly string[] {
  return JSON.parse(readFileSync(new URL('../bootstrap/peers.json', import.meta.url), 'utf8')) as string[]
}

/** Entries of the setting win over those of the file. */
function toImageSettings(values: Values): ImageSettings {
  const file = values.text('registry-config')
  const inFile = file === undefined ? [] : parseDockerConfig(readText('registry-config', file))
  return {
    registries: new RegistryList(values.list('registries')),
    credentials: new Map([...inFile, ...parseCredentials(values.list('registry-auth'))]),
    platform: parsePlatform(values.text('platform') ?? ''),
  }
}

function readText(key: SettingKey, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new InvalidInputError(`${key}: cannot read ${path}: ${(cause as Error).message}`, { cause })
  }
}

function toLimits(values: Values): Limits {
  return {
    maxUploadBytes: values.size('max-upload'),
    maxPlainBytes: values.size('max-plain'),
    maxRatio: values.count('max-ratio'),
    maxEntries: values.count('max-entries'),
    maxDepth: values.count('max-depth'),
    maxFlistBytes: values.size('max-flist'),
    spillEntries: values.count('spill-entries'),
    uploads: Math.max(1, values.count('uploads')),
  }
}

function readJwtKeys(path: string): JwtKey[] {
  const pem = readText('jwt-keys', path)
  try {
    return parseJwtKeys(pem)
  } catch (cause) {
    throw new InvalidInputError(`jwt-keys: ${path} ${(cause as Error).message}`, { cause })
  }
}

/** Settings as texts, read by kind; each failure names its setting. */
class Values {
  readonly #texts: Flags

  constructor(texts: Flags) {
    this.#texts = texts
  }

  text(key: SettingKey): string | undefined {
    const text = this.#texts[key] ?? settingOf(key).default
    return text === '' ? undefined : text
  }

  /** Also when it was given as empty. */
  isGiven(key: SettingKey): boolean {
    return this.#texts[key] !== undefined
  }

  parsed<T>(key: SettingKey, parse: (text: string) => T | undefined, shape: string): T | undefined {
    const text = this.text(key)
    if (text === undefined) return undefined
    const value = parse(text)
    if (value === undefined) throw new InvalidInputError(`${key}: expected ${shape}`)
    return value
  }

  list(key: SettingKey): string[] {
    return splitList(this.text(key) ?? '')
  }

  listen(key: SettingKey): HostPort[] {
    return this.list(key).map((text) => {
      const address = parseHostPort(text)
      if (address === undefined)
        throw new InvalidInputError(`${key}: expected host:port, got ${JSON.stringify(text)}`)
      return address
    })
  }

  choice(key: SettingKey): string {
    const { choices = [] } = settingOf(key)
    return this.#required(key, (text) => (choices.includes(text) ? text : undefined), choices.join(', '))
  }

  flag(key: SettingKey): boolean {
    return this.#required(key, parseFlag, 'on or off')
  }

  size(key: SettingKey): number {
    return this.#required(key, parseSize, 'a size like 512KiB')
  }

  duration(key: SettingKey, otherwise?: number): number {
    if (otherwise !== undefined && this.text(key) === undefined) return otherwise
    return this.#required(key, parseDuration, 'a duration like 24h')
  }

  count(key: SettingKey): number {
    return this.#required(
      key,
      (text) => (/^\d{1,15}$/.test(text) ? Number(text) : undefined),
      'a whole number',
    )
  }

  #required<T>(key: SettingKey, parse: (text: string) => T | undefined, shape: string): T {
    const value = this.parsed(key, parse, shape)
    if (value === undefined) throw new InvalidInputError(`${key}: expected ${shape}`)
    return value
  }
}

function settingOf(key: SettingKey): Setting {
  const setting: Setting | undefined = SETTINGS.find((one) => one.key === key)
  if (setting === undefined) throw new TypeError(`no setting ${key}`)
  return setting
}

function readEnvironment(environment: Environment): Flags {
  const keys = new Map(SETTINGS.map(({ key }) => [environmentName(key), key]))
  const texts: Partial<Record<SettingKey, string>> = {}
  for (const [name, text] of Object.entries(environment)) {
    if (text === undefined || !name.startsWith('ZHUB_') || NOT_SETTINGS.test(name)) continue
    const key = keys.get(name)
    if (key === undefined) throw new InvalidInputError(`${name} is no setting of this release`)
    texts[key] = text
  }
  return texts
}

function readFile(path: string): Flags {
  let values: unknown
  try {
    values = JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new InvalidInputError(`config: cannot read ${path}: ${(cause as Error).message}`, { cause })
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new InvalidInputError(`config: ${path} is no JSON object`)
  }
  const texts: Partial<Record<SettingKey, string>> = {}
  for (const [name, value] of Object.entries(values)) {
    const setting = SETTINGS.find(({ key }) => key === name || environmentName(key) === name)
    if (setting === undefined)
      throw new InvalidInputError(`config: ${JSON.stringify(name)} in ${path} is no setting`)
    texts[setting.key] = toText(setting.key, value)
  }
  return texts
}

/** What a flag would say for a JSON value. */
function toText(key: string, value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value.join(',')
  throw new InvalidInputError(`config: ${key} is neither text, number, boolean nor a list of texts`)
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')
}

function parseFlag(text: string): boolean | undefined {
  if (['on', 'true', '1', 'yes'].includes(text.toLowerCase())) return true
  return ['off', 'false', '0', 'no'].includes(text.toLowerCase()) ? false : undefined
}

/** Exactly 64 hex digits or 43–44 base64 characters: anything else would be a different key than the one meant. */
function parseSeed(text: string): Uint8Array | undefined {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex')
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === 32 ? bytes : undefined
}

function parseUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined
  return (url.origin + url.pathname).replace(/\/+$/, '')
}

function parseChunkAddress(text: string): ChunkAddress | undefined {
  const match = /^(?:zdb|redis):\/\/([^/]+?)(?:\/([\w.-]+))?\/?$/.exec(text)
  const address =
    match === null
      ? undefined
      : parseHostPort(/:\d+$/.test(match[1] ?? '') ? (match[1] ?? '') : `${match[1]}:9900`)
  return address === undefined ? undefined : { namespace: match?.[2] ?? 'default', ...address }
}

function usersMap(pairs: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1 || at === pair.length - 1)
        throw new InvalidInputError('users-map: expected name=3bot name, comma list')
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}
