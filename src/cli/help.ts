/** What `--help` says: made from the commands and the settings themselves. */
import type { OptionRow, SettingRow } from './arguments.ts'
import type { Command } from './command.ts'
import { REMOTE_OPTIONS } from './remote-options.ts'

/** All commands, one line each. */
export function overview(commands: readonly Command[]): string {
  return [
    'zhub: a hub of Zero-OS images, their chunks and who published them',
    '',
    'usage: zhub COMMAND [ARGUMENTS] [OPTIONS]',
    '',
    ...aligned(commands.map(commandLine)),
    '',
    'Commands work on the node of --data, running or stopped, or with --url URL on another one, as the user of',
    '--token-file FILE or of ZHUB_TOKEN in the environment.',
    'zhub COMMAND --help says more. Exit codes: 0 done, 1 failed or findings, 2 usage, 3 not found, 4 refused,',
    '5 node unreachable, 130 interrupted.',
    '',
  ].join('\n')
}

/** The commands that begin with one word. */
export function groupHelp(word: string, commands: readonly Command[]): string {
  return [
    `usage: zhub ${word} COMMAND [ARGUMENTS] [OPTIONS]`,
    '',
    ...aligned(commands.map(commandLine)),
    '',
    `zhub ${word} COMMAND --help says more.`,
    '',
  ].join('\n')
}

/** One command with its options; `serve` with every setting, the others with those of the data folder. */
export function commandHelp(command: Command, settings: readonly SettingRow[]): string {
  const { name, usage, summary, options, remote } = command
  const own = [...options, ...(remote ? REMOTE_OPTIONS : [])]
  const shown = command.showsSettings
    ? settings
    : settings.filter(({ key }) => key === 'data' || key === 'config')
  const lines = [`usage: zhub ${name} ${usage}`.trimEnd(), '', sentence(summary), '']
  if (own.length > 0) lines.push('options:', ...aligned(own.map(optionLine)), '')
  if (shown.length > 0)
    lines.push('settings (zhub serve --help lists all):', ...aligned(shown.map(settingLine)), '')
  return lines.join('\n')
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + '.'
}

function commandLine({ name, usage, summary }: Command): readonly [string, string] {
  return [`${name} ${usage}`.trimEnd(), summary]
}

function optionLine({ name, value, help }: OptionRow): readonly [string, string] {
  return [value === undefined ? `--${name}` : `--${name} ${value}`, help]
}

function settingLine({ key, kind, help }: SettingRow): readonly [string, string] {
  return [kind === 'flag' ? `--${key} on|off` : `--${key} ${kind.toUpperCase()}`, help]
}

function aligned(rows: ReadonlyArray<readonly [string, string]>): string[] {
  const width = Math.min(38, Math.max(...rows.map(([left]) => left.length)))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
}
