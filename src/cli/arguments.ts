/** From the words of a command line to arguments and options. Every mistake is a UsageError that says what is meant. */
import { parseArgs } from 'node:util'
import { parseDuration } from '../util/parse.ts'
import { SECOND_MS } from '../util/units.ts'
import { UsageError } from './command.ts'

/** One row of a command's options. */
export interface OptionRow {
  /** Without its dashes. */
  readonly name: string
  /** What stands after it, as `--help` shows it; absent: it stands alone. */
  readonly value?: string
  readonly help: string
}

/** A row of the settings table, as far as a command line needs it. */
export interface SettingRow {
  readonly key: string
  readonly kind: string
  readonly help: string
}

/** The options a command was given. Names are those of its rows. */
export class Options {
  readonly #values: ReadonlyMap<string, string | true>

  constructor(values: ReadonlyMap<string, string | true>) {
    this.#values = values
  }

  flag(name: string): boolean {
    return this.#values.has(name)
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name)
    return typeof value === 'string' ? value : undefined
  }

  /** Whole seconds of `30d`, `12h`; a bare number is seconds. */
  seconds(name: string): number | undefined {
    const milliseconds = this.#parsed(name, parseDuration, 'a duration like 30d or 12h')
    return milliseconds === undefined ? undefined : Math.round(milliseconds / SECOND_MS)
  }

  count(name: string): number | undefined {
    const parse = (text: string) => (/^\d{1,15}$/.test(text) ? Number(text) : undefined)
    return this.#parsed(name, parse, 'a whole number')
  }

  #parsed<T>(name: string, parse: (text: string) => T | undefined, shape: string): T | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = parse(text)
    if (value === undefined) throw new UsageError(`--${name}: expected ${shape}, got ${JSON.stringify(text)}`)
    return value
  }
}

export interface ParsedWords {
  readonly args: readonly string[]
  readonly options: Options
  /** The settings among the options, by key. */
  readonly settings: Readonly<Record<string, string>>
}

const FLAG_WORDS = /^(?:on|off|true|false|yes|no|0|1)$/i

/** @throws {UsageError} for an option nobody knows, one without its value, or one given twice. */
export function parseWords(
  words: readonly string[],
  rows: readonly OptionRow[],
  settings: readonly SettingRow[],
): ParsedWords {
  const own = new Set(rows.map(({ name }) => name))
  const others = settings.filter(({ key }) => !own.has(key))
  const known: Record<string, { type: 'string' | 'boolean' }> = {}
  for (const { name, value } of rows) known[name] = { type: value === undefined ? 'boolean' : 'string' }
  for (const { key } of others) known[key] = { type: 'string' }
  const { tokens } = parseArgs({
    args: spellOutFlags(words, others),
    options: known,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })

  const args: string[] = []
  const values = new Map<string, string | true>()
  for (const token of tokens) {
    if (token.kind === 'positional') args.push(token.value)
    if (token.kind !== 'option') continue
    if (values.has(token.name)) throw new UsageError(`${token.rawName} is given twice`)
    values.set(token.name, checkedValue(token, known[token.name]?.type))
  }
  const chosen = [...values].filter(([name]) => !own.has(name)).map(([name, value]) => [name, String(value)])
  return {
    args,
    options: new Options(values),
    settings: Object.fromEntries(chosen) as Record<string, string>,
  }
}

/** `--readonly` alone means `--readonly=on`. */
function spellOutFlags(words: readonly string[], settings: readonly SettingRow[]): string[] {
  const flags = new Set(settings.filter(({ kind }) => kind === 'flag').map(({ key }) => key))
  const end = words.indexOf('--')
  return words.map((word, at) => {
    const isFlag = word.startsWith('--') && flags.has(word.slice(2))
    if (!isFlag || (end >= 0 && at > end)) return word
    return FLAG_WORDS.test(words[at + 1] ?? '') ? word : `${word}=on`
  })
}

interface OptionToken {
  readonly rawName: string
  readonly value: string | undefined
  readonly inlineValue: boolean | undefined
}

function checkedValue(
  { rawName, value, inlineValue }: OptionToken,
  type: 'string' | 'boolean' | undefined,
): string | true {
  if (type === undefined) throw new UsageError(`unknown option ${rawName}`)
  if (type === 'boolean') {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value`)
    return true
  }
  if (value === undefined) throw new UsageError(`${rawName} needs a value`)
  if (inlineValue === false && value.startsWith('--')) {
    throw new UsageError(`${rawName} needs a value; if it is ${value}, write ${rawName}=${value}`)
  }
  return value
}
