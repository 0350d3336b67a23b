/** From the words of a command line to an exit code: finds the command, gives it what it needs, and explains failures. */
import { HubError, isAbort, type HubErrorCode } from '../errors.ts'
import { parseWords, type OptionRow, type SettingRow } from './arguments.ts'
import { HttpNodeClient, type NodeAddress, type NodeClient } from './client.ts'
import {
  UsageError,
  type Command,
  type CommandContext,
  type ExitCode,
  type Input,
  type OfflineNode,
} from './command.ts'
import { COMMANDS } from './commands.ts'
import { commandHelp, groupHelp, overview } from './help.ts'
import { version } from './version.ts'
import { REMOTE_OPTIONS, remoteOf, type Remote } from './remote-options.ts'
import { ReaderGoneError, StreamOutput, printable, type Output, type TerminalStream } from './output.ts'

/** What the program gives to its commands. */
export interface Program {
  readonly version: string
  readonly settings: readonly SettingRow[]
  readonly stdin: Input
  readonly stdout: TerminalStream
  readonly stderr: TerminalStream
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal
  /** The token for --url that the environment holds. */
  readonly environmentToken?: string | undefined
  /** A node for these settings: the running one of the data folder, or one started in this process. */
  open(settings: Settings, signal: AbortSignal): Promise<OpenNode>
  /** What works without a node. @throws {InvalidInputError} for settings that are refused. */
  offline(settings: Settings): OfflineNode
}

/** Texts by setting key, as flags gave them. */
export type Settings = Readonly<Record<string, string>>

export interface OpenNode {
  readonly address: NodeAddress
  /** Stops what `open` started; leaves a running node alone. */
  close(): Promise<void>
}

/** Runs one command line to its end. Never throws: every failure is told on stderr and in the exit code. */
export async function runCommand(words: readonly string[], program: Program): Promise<ExitCode> {
  const stdout = new StreamOutput(program.stdout, program.signal)
  const stderr = new StreamOutput(program.stderr, program.signal)
  let code: ExitCode
  try {
    code = await run(words, program, stdout, stderr)
    await stdout.flush()
  } catch (error) {
    code = exitCodeOf(error, program.signal)
    const text = failureText(error, code, words)
    await stdout.flush().catch(() => {})
    await stderr.write(text).catch(() => {})
  }
  await stderr.flush().catch(() => {})
  return code
}

async function run(
  words: readonly string[],
  program: Program,
  stdout: StreamOutput,
  stderr: StreamOutput,
): Promise<ExitCode> {
  const { command, rest } = findCommand(words)
  if (command === undefined) return explain(words, stdout, stderr)
  if (wantsHelp(rest)) {
    await stdout.write(commandHelp(command, program.settings))
    return 0
  }
  const { args, options, settings } = parseWords(rest, optionRows(command), program.settings)
  const [fewest, most] = command.takes
  if (args.length < fewest || args.length > most)
    throw new UsageError(`usage: zhub ${command.name} ${command.usage}`)
  const nodes = new NodeOpener(program, settings, await remoteOf(options, program.environmentToken))
  try {
    return await command.run({
      args,
      options,
      client: () => nodes.client(),
      stdin: program.stdin,
      stdout,
      stderr,
      signal: program.signal,
      version: program.version,
      offline: () => program.offline(settings),
    } satisfies CommandContext)
  } finally {
    await nodes.close()
  }
}

/** Help where it is asked for; on stderr, as a mistake, where nothing is. @throws {UsageError} for an unknown word. */
async function explain(words: readonly string[], stdout: Output, stderr: Output): Promise<ExitCode> {
  const [word, next] = words
  if (word === undefined) {
    await stderr.write(overview(COMMANDS))
    return 2
  }
  if (isHelp(word) || word === 'help') {
    await stdout.write(overview(COMMANDS))
    return 0
  }
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${word} `))
  if (group.length > 0) {
    const isAsked = next !== undefined && (isHelp(next) || next === 'help')
    await (isAsked ? stdout : stderr).write(groupHelp(word, group))
    return isAsked ? 0 : 2
  }
  throw new UsageError(`no command ${JSON.stringify(printable(word))}`)
}

function findCommand(words: readonly string[]): { command: Command | undefined; rest: readonly string[] } {
  if (words[0] === '--version') return { command: version, rest: words.slice(1) }
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ')
    const command = COMMANDS.find((one) => one.name === name)
    if (command !== undefined) return { command, rest: words.slice(length) }
  }
  return { command: undefined, rest: [] }
}

function isHelp(word: string): boolean {
  return word === '--help' || word === '-h'
}

function wantsHelp(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return (end < 0 ? words : words.slice(0, end)).some(isHelp)
}

function optionRows({ options, remote }: Command): readonly OptionRow[] {
  return remote ? [...options, ...REMOTE_OPTIONS] : options
}

/** Opens the node when a command first asks for it, once. */
class NodeOpener {
  readonly #program: Program
  readonly #settings: Settings
  readonly #remote: Remote | undefined
  #open: Promise<OpenNode> | undefined

  constructor(program: Program, settings: Settings, remote: Remote | undefined) {
    this.#program = program
    this.#settings = settings
    this.#remote = remote
  }

  async client(): Promise<NodeClient> {
    if (this.#remote !== undefined) return new HttpNodeClient(this.#remote, this.#program.signal)
    this.#open ??= this.#program.open(this.#settings, this.#program.signal)
    return new HttpNodeClient((await this.#open).address, this.#program.signal)
  }

  /** Also after a failed open, which left nothing to close. */
  async close(): Promise<void> {
    const node = await this.#open?.catch(() => undefined)
    await node?.close()
  }
}

/** Total: a new code does not compile until the command line answers it. */
const EXIT_OF: Readonly<Record<HubErrorCode, ExitCode>> = {
  HUB_INVALID_INPUT: 1,
  HUB_MALFORMED: 1,
  HUB_LIMIT: 1,
  HUB_UNAUTHORIZED: 4,
  HUB_FORBIDDEN: 4,
  HUB_NOT_FOUND: 3,
  HUB_CONFLICT: 1,
  HUB_CORRUPT: 1,
  HUB_UNSUPPORTED_VERSION: 1,
  HUB_DISK_FULL: 1,
  HUB_RATE_LIMITED: 1,
  HUB_UNAVAILABLE: 5,
}

function exitCodeOf(error: unknown, signal: AbortSignal): ExitCode {
  if (error instanceof ReaderGoneError) return 0
  if (signal.aborted || isAbort(error, signal)) return 130
  if (error instanceof UsageError) return 2
  return error instanceof HubError ? EXIT_OF[error.code] : 1
}

function failureText(error: unknown, code: ExitCode, words: readonly string[]): string {
  if (error instanceof ReaderGoneError) return ''
  if (code === 130) return 'zhub: interrupted\n'
  const message = `zhub: ${printable(error instanceof Error ? error.message : String(error))}\n`
  if (error instanceof UsageError) return `${message}zhub: see zhub ${helpWords(words)}--help\n`
  const isBug = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
  return isBug ? `${message}${error.stack ?? ''}\n` : message
}

function helpWords(words: readonly string[]): string {
  const { command } = findCommand(words)
  return command === undefined ? '' : `${command.name} `
}
