import { encodeTarHeader, TAR_END, tarPadding } from '../format/tar.ts'
import { concat, fromUtf8 } from '../util/bytes.ts'
import type { ImageConfig } from './config.ts'

type Start = Pick<
  ImageConfig,
  'argv' | 'hasEntrypoint' | 'isBareEntrypoint' | 'environment' | 'workingDirectory'
>

/** `/.startup.toml`, which Zero-OS starts a container by; its shape is the original's (hub-api.md §8.4). */
export function startupToml(start: Start): string {
  const { argv, isBareEntrypoint, environment, workingDirectory } = start
  const [name, ...rest] = argv
  const args = isBareEntrypoint ? NO_ARGUMENTS : `args = [${rest.map(text).join(', ')}]`
  const variables = [...environment].map(([key, value]) => `${keyText(key)} = ${text(value)}\n`).join('')
  return (
    `[startup]\n\n[startup.entry]\nname = "core.system"\n\n` +
    `[startup.entry.args]\nname = ${text(name)}\n${args}\ndir = ${text(workingDirectory)}\n\n` +
    `[startup.entry.args.env]\n${variables}`
  )
}

/** What the original's TOML writer makes of a Cmd that is null: a comment, and no key. */
const NO_ARGUMENTS = '#args = null  # To use: uncomment and replace null with value'

/** That file as the uppermost layer. The same image gives the same bytes. */
export function startupLayer(start: Start): Uint8Array {
  const content = fromUtf8(startupToml(start))
  const header = encodeTarHeader({
    path: fromUtf8('.startup.toml'),
    kind: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    userName: fromUtf8('root'),
    groupName: fromUtf8('root'),
    modifiedS: 0,
    sizeBytes: content.length,
  })
  return concat([header, content, new Uint8Array(tarPadding(content.length)), TAR_END])
}

/** What builders of images put into each that says nothing else. */
const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Rows of the flist's metadata table (flist-v1.md §9): how it is started, for an image that says so itself. One that
 * has but a Cmd and the usual PATH gets none, as the original has it.
 */
export function startupMetadata({ argv, hasEntrypoint, environment }: Start): ReadonlyMap<string, string> {
  const rows = new Map<string, string>()
  if (hasEntrypoint) rows.set('entrypoint', `[${argv.map((one) => JSON.stringify(one)).join(', ')}]`)
  const isUsual = [...environment].every(([key, value]) => key === 'PATH' && value === USUAL_PATH)
  const variables = [...environment].map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`)
  if (!isUsual) rows.set('environ', `{${variables.join(', ')}}`)
  return rows
}

/** A basic string of TOML. */
function text(value: string): string {
  const escaped = value
    .replace(/["\\]/g, '\\$&')
    .replace(/[\u0000-\u001f\u007f]/g, (character) => ESCAPES[character] ?? unicode(character))
    .replace(/\p{Cs}/gu, '\ufffd')
  return `"${escaped}"`
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
}

function unicode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function keyText(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : text(key)
}
