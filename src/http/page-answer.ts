import type { IncomingMessage } from 'node:http'
import { fromUtf8, toUtf8 } from '../util/bytes.ts'
import { errorPage } from '../web/sign-in.ts'
import { PAGE_POLICY } from '../web/page.ts'
import { bytesAnswer, type Answer, type FlatHeaders } from './answer.ts'

const HTML = 'text/html; charset=utf-8'

/** What a page may do, and that no other site learns where its reader came from. */
const GUARDS: FlatHeaders = ['Content-Security-Policy', PAGE_POLICY, 'Referrer-Policy', 'no-referrer']

/** Of a page that is one person's. */
export const NOT_KEPT: FlatHeaders = ['Cache-Control', 'no-store']

export function pageAnswer(page: string, status = 200, headers: FlatHeaders = []): Answer {
  return bytesAnswer(status, HTML, fromUtf8(page), [...GUARDS, ...headers])
}

/** An error for people. */
export function errorAnswer(status: number, message: string): Answer {
  return pageAnswer(errorPage(status, message), status, NOT_KEPT)
}

/** The answer as who asks can read it: an error envelope that a browser shows is a page, but not below /api. */
export function forReader({ url = '/', headers }: IncomingMessage, answer: Answer): Answer {
  const { status, body } = answer
  const isAsked = headers.accept?.includes('text/html') === true && !/^\/api(?:[/?]|$)/.test(url)
  if (status < 400 || !isAsked || !Buffer.isBuffer(body)) return answer
  if (answer.headers[1] !== 'application/json') return answer
  const { message } = JSON.parse(toUtf8(body)) as { readonly message?: unknown }
  const kept = headersBut(answer.headers, ['content-type', 'content-length'])
  const page = errorAnswer(status, sentence(String(message)))
  return { ...page, headers: [...headersBut(page.headers, namesOf(kept)), ...kept] }
}

/** The contract's messages have no capital and no full stop. */
function sentence(message: string): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1)
  return /[.!?]$/.test(text) ? text : `${text}.`
}

function namesOf(headers: FlatHeaders): string[] {
  return headers.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase())
}

function headersBut(headers: FlatHeaders, names: readonly string[]): FlatHeaders {
  return headers.filter((_, at) => !names.includes((headers[at - (at % 2)] ?? '').toLowerCase()))
}
