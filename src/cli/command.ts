/** What a command is, and what it is given to work with. */
import type { NodeClient } from './client.ts'
import type { Options, OptionRow } from './arguments.ts'
import type { Output } from './output.ts'

/** Done · failed, or findings · usage · not found · refused or not signed in · unreachable · interrupted. */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 130

export interface Command {
  /** One word, or two: `token create`. */
  readonly name: string
  /** The arguments after the name, as `--help` shows them. */
  readonly usage: string
  /** One line for the list of commands. */
  readonly summary: string
  readonly options: readonly OptionRow[]
  /** How many arguments it takes. */
  readonly takes: readonly [fewest: number, most: number]
  /** Talks to a node, so it takes REMOTE_OPTIONS. */
  readonly remote?: boolean
  /** `--help` lists every setting. */
  readonly showsSettings?: boolean
  run(context: CommandContext): Promise<ExitCode>
}

/** What is typed or piped in. */
export interface Input extends AsyncIterable<Uint8Array> {
  /** A person may answer. */
  readonly isTTY?: boolean | undefined
}

export interface CommandContext {
  readonly args: readonly string[]
  readonly options: Options
  /** The node: the running one of the data folder, one started for this command, or a remote one. Opened once. */
  readonly client: () => Promise<NodeClient>
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
  readonly signal: AbortSignal
  readonly version: string
  /** @throws {InvalidInputError} for settings that are refused. */
  readonly offline: () => OfflineNode
}

/** What needs no running node. */
export interface OfflineNode {
  /** The data folder, absolute. */
  readonly data: string
  /** Runs a node until it is told to stop. */
  serve(json: boolean): Promise<ExitCode>
  /** Copies a backup into the data folder, which is empty; answers what the store reports. */
  restore(backup: string): Promise<unknown>
}

/** The command line is not one of ours: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
