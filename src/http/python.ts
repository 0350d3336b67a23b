/**
 * The spellings of the original's runtime (Python, Werkzeug) that clients see: JSON text, size strings, file names.
 * Source: hub-api.md §2, §4.2 and §7.
 */

/** Style A: `json.dumps` with its default separators, ASCII alone; a `Map` is an object in its order; no newline. */
export function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const pairs: Iterable<[string, unknown]> = value instanceof Map ? value : Object.entries(value)
    const members = [...pairs].filter(([, member]) => member !== undefined)
    return `{${members.map(([key, member]) => `${quote(key)}: ${pythonJson(member)}`).join(', ')}}`
  }
  return scalar(value)
}

/** Style B: Flask's `jsonify`: compact, keys sorted, ASCII; no newline. */
export function flaskJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flaskJson).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${members.map(([key, member]) => `${quote(key)}:${flaskJson(member)}`).join(',')}}`
  }
  return scalar(value)
}

function scalar(value: unknown): string {
  return typeof value === 'string' ? quote(value) : (JSON.stringify(value) ?? 'null')
}

/** A JSON string of printable ASCII alone. */
export function quote(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** `"%.2f KB" % (bytes / 1024)`: Python rounds the exact ties of a division by 1024 to even, `toFixed` does not. */
export function kilobytes(bytes: number): string {
  const scaled = BigInt(bytes) * 100n
  const rest = scaled % 1024n
  let hundredths = scaled / 1024n
  if (rest > 512n || (rest === 512n && hundredths % 2n === 1n)) hundredths++
  return `${hundredths / 100n}.${String(hundredths % 100n).padStart(2, '0')} KB`
}

/** Werkzeug's `secure_filename`: what is left of a client's file name once it can only name a file. */
export function secureFilename(name: string): string {
  const ascii = name.normalize('NFKD').replace(/[^\0-\x7f]/g, '')
  const joined = ascii.replaceAll('/', ' ').split(PYTHON_SPACE).filter(Boolean).join('_')
  return joined.replace(/[^A-Za-z0-9_.-]/g, '').replace(/^[._]+|[._]+$/g, '')
}

/** What `str.split()` without arguments splits ASCII text at. */
const PYTHON_SPACE = /[\t-\r\x1c-\x1f ]+/

/**
 * The text of `json.dumps(json.loads(text))` when `text` is a JSON object or array; `undefined` for anything else,
 * which the original shows as the string it is (metadata values, hub-api.md §4.7). Token by token: order of keys and
 * spelling of numbers are those of the text.
 */
export function pythonRedump(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
  } catch {
    return undefined
  }
  return text.replace(JSON_TOKEN, (token) => {
    if (token.startsWith('"')) return quote(JSON.parse(token) as string)
    if (token === ',' || token === ':') return `${token} `
    if (/^\s+$/.test(token)) return ''
    return /^-?\d/.test(token) ? pythonNumber(token) : token
  })
}

const JSON_TOKEN = /"(?:[^"\\]|\\.)*"|[,:]|\s+|[^\s",:[\]{}]+/g

/** Integers of any length stay; floats are spelled as `repr` does. */
function pythonNumber(token: string): string {
  if (/^-?\d+$/.test(token)) return token === '-0' ? '0' : token
  const value = Number(token)
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  const [digits = '', power = ''] = value.toExponential().split('e')
  const exponent = Number(power)
  if (exponent < -4 || exponent >= 16) {
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
  }
  const plain = String(value)
  if (plain.includes('e')) return value.toFixed(-exponent + digits.replace(/\D/g, '').length - 1)
  return plain.includes('.') ? plain : `${plain}.0`
}
