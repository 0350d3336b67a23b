/** What a handler gives back, as a value: status, headers and body. Sending is send.ts. */
import { asBuffer, fromUtf8 } from '../util/bytes.ts'
import { flaskJson, pythonJson } from './python.ts'

/** Name, value, name, value …: what `writeHead` takes without copying. */
export type FlatHeaders = readonly string[]

export interface Answer {
  readonly status: number
  readonly headers: FlatHeaders
  readonly body: Buffer | AsyncIterable<Uint8Array>
  /** What its body says may be wrong soon, although no repository changes: it is not kept. */
  readonly isPassing?: boolean
  /** Headers that say how things stand when the answer goes out, which may be long after it was made. */
  readonly current?: (() => FlatHeaders) | undefined
}

const JSON_TYPE = 'application/json'

/** On every answer, errors included (hub-api.md §2; security.md row 6). */
const ALWAYS: FlatHeaders = ['Access-Control-Allow-Origin', '*', 'X-Content-Type-Options', 'nosniff']

const REASONS: Readonly<Record<number, string>> = {
  400: 'bad request',
  404: 'not found',
  405: 'method not allowed',
  408: 'request timeout',
  416: 'requested range not satisfiable',
  431: 'request header fields too large',
  500: 'internal server error',
}

/** An answer of bytes: with Content-Length and the headers that every answer carries. */
export function bytesAnswer(
  status: number,
  type: string,
  body: Uint8Array,
  headers: FlatHeaders = [],
): Answer {
  const all = ['Content-Type', type, 'Content-Length', String(body.length), ...ALWAYS, ...headers]
  return { status, headers: all, body: asBuffer(body) }
}

/** An answer whose length is not known when it begins. */
export function streamAnswer(
  type: string,
  body: AsyncIterable<Uint8Array>,
  headers: FlatHeaders = [],
): Answer {
  return { status: 200, headers: ['Content-Type', type, ...ALWAYS, ...headers], body }
}

export function textAnswer(status: number, text: string, headers: FlatHeaders = []): Answer {
  return bytesAnswer(status, 'text/plain', fromUtf8(text), headers)
}

/** Style A (hub-api.md §2): what the standard API answers. */
export function styleA(value: unknown, status = 200): Answer {
  return bytesAnswer(status, JSON_TYPE, fromUtf8(pythonJson(value) + '\n'))
}

/** Style B: authentication and read-only refusals. */
export function styleB(status: number, message: string, headers: FlatHeaders = []): Answer {
  return bytesAnswer(status, JSON_TYPE, fromUtf8(flaskJson({ message, status: 'error' }) + '\n'), headers)
}

/** Compact JSON: our own routes. */
export function compactJson(value: unknown, status = 200): Answer {
  return bytesAnswer(status, JSON_TYPE, fromUtf8(JSON.stringify(value) + '\n'))
}

export function success(payload?: unknown): Answer {
  return styleA({ status: 'success', payload })
}

/** The error envelope, style A. */
export function envelope(status: number, message = REASONS[status] ?? 'error'): Answer {
  return styleA({ status: 'error', message }, status)
}

export function withHeaders(answer: Answer, headers: FlatHeaders): Answer {
  return headers.length === 0 ? answer : { ...answer, headers: [...answer.headers, ...headers] }
}

/** Leads a browser to another path of ours, or to a URL. */
export function redirect(location: string, headers: FlatHeaders = []): Answer {
  return emptyAnswer(302, ['Location', location, 'Content-Length', '0', ...headers])
}

/** An answer without a body: 304 and the automatic answer to OPTIONS. */
export function emptyAnswer(status: number, headers: FlatHeaders): Answer {
  return { status, headers: [...ALWAYS, ...headers], body: Buffer.alloc(0) }
}
