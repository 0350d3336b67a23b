/** Numbers as people write them: sizes, durations, listen addresses. Each answers `undefined` for anything else. */
import { DAY_MS, GIB, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS } from './units.ts'

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kib: KIB,
  mib: MIB,
  gib: GIB,
  tib: 1024 * GIB,
}
const TIME_UNITS: Readonly<Record<string, number>> = {
  '': SECOND_MS,
  ms: 1,
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
}

/** Bytes of `512KiB`, `4GiB` or `1048576`. */
export function parseSize(text: string): number | undefined {
  return parseWithUnit(text, SIZE_UNITS)
}

/** Milliseconds of `10s`, `24h`, `30d`, `250ms`; a bare number is seconds. */
export function parseDuration(text: string): number | undefined {
  return parseWithUnit(text, TIME_UNITS)
}

function parseWithUnit(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const unit = match === null ? undefined : units[(match[2] ?? '').toLowerCase()]
  if (match === null || unit === undefined) return undefined
  const value = Math.round(Number(match[1]) * unit)
  return Number.isSafeInteger(value) ? value : undefined
}

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** `127.0.0.1:5555`, `[::1]:5555`, `localhost:0`; `:5555` and `*:5555` are every interface. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/i.exec(text.trim())
  if (match === null) return undefined
  const port = Number(match[3])
  const name = match[1] ?? match[2] ?? ''
  return port > 65535 ? undefined : { host: name === '' || name === '*' ? '::' : name, port }
}

/** The text form that `parseHostPort` reads. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** True for names and addresses that never leave this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

/** `1.4 GiB`, `312 KiB`, `17 B`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let at = 0
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024
    at++
  }
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at] ?? ''}`
}
