/** Writes the generated parts of README.md between their markers. CI fails when the file changes by it. */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { COMMANDS } from '../src/cli/commands.ts'
import type { Command } from '../src/cli/command.ts'
import type { Route } from '../src/http/call.ts'
import type { HttpMetrics } from '../src/http/metrics.ts'
import { routesOf } from '../src/http/routes.ts'
import type { Site } from '../src/http/site.ts'
import { environmentName, SETTINGS, type Setting } from '../src/settings.ts'

const README = fileURLToPath(new URL('../../README.md', import.meta.url))

/** Replaces what stands between `<!-- generated: name -->` and `<!-- end: name -->`. */
export function replaceGenerated(text: string, name: string, content: string): string {
  const begin = `<!-- generated: ${name} -->`
  const end = `<!-- end: ${name} -->`
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`README.md has no place for ${name}`)
  return `${text.slice(0, from + begin.length)}\n\n${content}\n\n${text.slice(to)}`
}

export function settingsTable(settings: readonly Setting[]): string {
  const rows = settings.map((setting) => {
    const value =
      setting.choices === undefined
        ? KINDS[setting.kind]
        : setting.choices.map((one) => `\`${one}\``).join(', ')
    const byDefault = setting.default === undefined ? '–' : `\`${setting.default}\``
    return [`\`${environmentName(setting.key)}\``, `\`--${setting.key}\``, value, byDefault, setting.help]
  })
  return markdownTable(['environment', 'flag', 'value', 'default', 'meaning'], rows)
}

const KINDS: Readonly<Record<Setting['kind'], string>> = {
  text: 'text',
  secret: 'secret',
  path: 'path',
  url: 'URL',
  listen: 'host:port list',
  list: 'list',
  flag: '`on`, `off`',
  choice: 'one of',
  size: 'size',
  duration: 'duration',
  count: 'number',
}

function markdownTable(head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n')
}

export function commandsTable(commands: readonly Command[]): string {
  const rows = commands.map(({ name, usage, options, summary }) => {
    const untold = options.filter((option) => !usage.includes(`--${option.name}`))
    const flags = untold.map(
      (option) => `[--${option.name}${option.value === undefined ? '' : ` ${option.value}`}]`,
    )
    return [`\`zhub ${[name, usage, ...flags].filter((part) => part !== '').join(' ')}\``, summary]
  })
  return markdownTable(['command', 'what it does'], rows)
}

const ACCESS: Readonly<Record<Route['access'], string>> = {
  public: '',
  told: '',
  user: 'token',
  admin: 'admin token',
  session: 'web session',
}

export function routesTable(routes: readonly Route[]): string {
  const rows = routes.map(({ method, path, access, summary }) => {
    return [`\`${method} ${path.replaceAll(/:(\w+)/g, '<$1>')}\``, ACCESS[access], summary]
  })
  return markdownTable(['route', 'needs', 'what it does'], rows)
}

/** Routes are described without being called, so they need no node behind them. */
function describedRoutes(): readonly Route[] {
  const options = { limits: {}, auth: true, publicUrl: '' }
  return routesOf({ options, threeBot: {} } as Site, {} as HttpMetrics)
}

/** The README with every generated part made anew. */
export function regenerate(readme: string): string {
  const parts = {
    settings: settingsTable(SETTINGS),
    commands: commandsTable(COMMANDS),
    routes: routesTable(describedRoutes()),
  }
  return Object.entries(parts).reduce(
    (text, [name, content]) => replaceGenerated(text, name, content),
    readme,
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(README, regenerate(await readFile(README, 'utf8')))
}
