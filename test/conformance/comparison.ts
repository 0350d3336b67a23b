/** When an answer is the recorded one: status, the headers that clients look at, and the body to the byte, but for what
 * differs with every run (golden/hub/README.md, Never compare). */
import type { RawResponse } from './raw-http.ts'
import type { RecordedCase } from './recorded.ts'

export interface Expected {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  /** `undefined`: any body (HTML pages are our own, and bytes of built flists differ). */
  readonly text: string | undefined
  /** The error envelope, with whatever message. */
  readonly isError: boolean
}

const COMPARED_HEADERS = [
  'content-type',
  'access-control-allow-origin',
  'location',
  'allow',
  'content-disposition',
  'cache-control',
  'accept-ranges',
  'content-range',
] as const

export function expectedOf({ response, profile }: RecordedCase): Expected | undefined {
  if (response === null) return undefined
  const headers = new Map(response.headers.map(([name, value]) => [name.toLowerCase(), value]))
  const isPage = isHtml(headers)
  const recorded = isPage ? undefined : response.body?.text
  const text = profile === 'debug' && recorded !== undefined ? withoutDebug(recorded) : recorded
  return { status: response.status, headers: isPage ? new Map() : headers, text, isError: false }
}

/**
 * The debug mode of the original's web framework indents what is compact otherwise, and adds `timing`
 * (hub-api.md 2 and 8.1): what that mode adds is taken off, everything else stays to the byte.
 */
export function withoutDebug(text: string): string {
  const compact = text.startsWith('{\n') ? `${JSON.stringify(JSON.parse(text))}\n` : text
  return compact.replace(', "timing": {}', '')
}

export function isHtml(headers: ReadonlyMap<string, string>): boolean {
  return headers.get('content-type')?.startsWith('text/html') === true
}

/** What is other than expected, one line each; nothing when it is as expected. */
export function differencesOf(expected: Expected, actual: RawResponse): string[] {
  const found: string[] = []
  const note = (what: string, was: unknown, is: unknown) => {
    if (was !== is) found.push(`${what}: expected ${String(was)}, got ${String(is)}`)
  }
  note('status', expected.status, actual.status)
  for (const name of COMPARED_HEADERS) {
    if (expected.headers.size === 0) break
    if (name === 'accept-ranges' && !expected.headers.has(name)) continue // said more often than the original does
    note(name, headerValue(expected.headers, name), headerValue(actual.headers, name))
  }
  const text = actual.body.toString('utf8')
  if (expected.isError) {
    if (!/^\{"status": "error", "message": ".+"\}\n$/.test(text))
      found.push(`body: expected the error envelope, got ${text}`)
  } else if (expected.text !== undefined) {
    note('body', steady(expected.text), steady(text))
  }
  return found
}

function headerValue(headers: ReadonlyMap<string, string>, name: string): string | undefined {
  const value = headers.get(name)
  if (name === 'allow') return value?.split(', ').sort().join(', ')
  return name === 'content-range' ? value?.replace(/\d+$/, 'N') : value
}

/** A text without its times, and without sizes and sums of built flists. A taglink's size is always the same. */
export function steady(text: string): string {
  return text
    .replace(/"(updated|linktime)": \d+/g, '"$1": 0')
    .replace(/"size": "(?!4\.00 KB)\d+\.\d\d KB"/g, '"size": "N KB"')
    .replace(/"size": \d+(?=, "updated")/g, '"size": "N"')
    .replace(/"md5": "[0-9a-f]{32}"/g, '"md5": "SUM"')
    .replace(/"jobid":"[0-9a-f-]{36}"/g, '"jobid":"JOB"')
    .replace(/^[0-9a-f]{32}\n$/, 'SUM\n')
    .replace(/^Checksum: [0-9a-f]{32}$/m, 'Checksum: SUM')
}

/** JSON as Python's json.dumps writes it: a space after each separator, nothing beyond ASCII. */
export function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, one]) => `${pythonJson(key)}: ${pythonJson(one)}`)
    return `{${pairs.join(', ')}}`
  }
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
