/** Writes the generated parts of README.md between their markers. CI fails when the file changes by it. */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
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

/** The README with every generated part made anew. */
export function regenerate(readme: string): string {
  return replaceGenerated(readme, 'settings', settingsTable(SETTINGS))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(README, regenerate(await readFile(README, 'utf8')))
}
