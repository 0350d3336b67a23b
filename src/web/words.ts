/** Sizes, times and addresses, as people read them. */
import { KIB } from '../util/units.ts'
import { html, type Html } from './html.ts'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `512 B`, `1.5 MiB`. */
export function sizeText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= KIB && unit < UNITS.length - 1) {
    value /= KIB
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`
}

/** Minutes of UTC: the same for every reader, wherever its page was kept. */
export function time(unixS: number): Html {
  const date = new Date(unixS * 1000)
  if (Number.isNaN(date.getTime())) return html`–`
  const iso = date.toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')}</time>`
}

/** A name of somebody: whatever direction it is written in, it turns nothing around it. */
export function name(text: string): Html {
  return html`<bdi>${text}</bdi>`
}

/** The path of ours made of these segments. */
export function pathOf(...segments: readonly string[]): string {
  return '/' + segments.map((segment) => encodeURIComponent(segment)).join('/')
}

/** `path?key=value…`, without the keys that are `undefined`. */
export function withQuery(
  path: string,
  query: Readonly<Record<string, string | number | undefined>>,
): string {
  const pairs = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) if (value !== undefined) pairs.set(key, String(value))
  return pairs.size === 0 ? path : `${path}?${pairs.toString()}`
}

/** `1 entry`, `2,000 entries`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`
}
