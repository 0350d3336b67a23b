/** The metadata table of a flist: flist-v1.md §9, hub-api.md §4.7. */

/** Keys that flist tools give a meaning; uploaders may set any other. Source: flist-v1.md §9. */
export const PROTECTED_KEYS: ReadonlySet<string> = new Set([
  'backend',
  'entrypoint',
  'environ',
  'port',
  'volume',
  'readme',
])

/** Where a flist's chunks are served: what its `backend` row says. */
export interface ChunkAddress {
  readonly namespace: string
  readonly host: string
  readonly port: number
}

/** JSON as jansson's `json_dumps(…, 0)`: what the reference stores and reads. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue }

/** Deeper than any row of the reference; a text nested further is not worth the stack. */
const MAX_DEPTH = 32

/** `", "` and `": "`, keys in their order, UTF-8 as it is. */
export function janssonText(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(janssonText).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(
      ([key, member]) => `${JSON.stringify(key)}: ${janssonText(member)}`,
    )
    return `{${members.join(', ')}}`
  }
  return JSON.stringify(value)
}

/** The value as the API shows it: an object or array where the text is one, else the text (bare numbers too). */
export function parseMetadataValue(text: string): JsonValue {
  if (!/^\s*[{[]/.test(text)) return text
  try {
    const value = JSON.parse(text) as JsonValue
    return depthOf(value) > MAX_DEPTH ? text : value
  } catch {
    return text
  }
}

function depthOf(value: JsonValue, depth = 0): number {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return depth
  return Object.values(value).reduce<number>(
    (most, one) => Math.max(most, depthOf(one, depth + 1)),
    depth + 1,
  )
}

/** The text of a `backend` row. */
export function formatBackend({ namespace, host, port }: ChunkAddress): string {
  return janssonText({ namespace, host, port })
}

/** The address in a `backend` row, or `undefined` when there is none that makes sense. Namespace: `default` if not told. */
export function parseBackend(text: string): ChunkAddress | undefined {
  const value = parseMetadataValue(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { host, port, namespace = 'default' } = value as { readonly [key: string]: JsonValue }
  if (typeof host !== 'string' || host === '' || typeof namespace !== 'string') return undefined
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65535) return undefined
  return { namespace, host, port }
}
