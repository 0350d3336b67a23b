import { HubError, isAbort, RateLimitedError, type HubErrorCode } from '../errors.ts'
import { envelope, withHeaders, type Answer } from './answer.ts'

/** What each of our errors is in HTTP. Total: a new code does not compile until it is answered here. */
export const STATUS_OF: Readonly<Record<HubErrorCode, number>> = {
  HUB_INVALID_INPUT: 400,
  HUB_MALFORMED: 400,
  HUB_LIMIT: 413,
  HUB_UNAUTHORIZED: 401,
  HUB_FORBIDDEN: 403,
  HUB_NOT_FOUND: 404,
  HUB_CONFLICT: 409,
  HUB_CORRUPT: 500,
  HUB_UNSUPPORTED_VERSION: 500,
  HUB_DISK_FULL: 507,
  HUB_RATE_LIMITED: 429,
  HUB_UNAVAILABLE: 503,
}

/** Seconds after which a client that met a starting or stopping node should ask again. */
export const RETRY_AFTER_S = 1

/** An answer thrown across layers of a handler: the request ends with it. No bug, never logged. */
export class Refusal extends Error {
  readonly answer: Answer

  constructor(answer: Answer) {
    super(`answered ${answer.status}`)
    this.answer = answer
  }
}

/** Ends the request with an error in style A. */
export function refuse(status: number, message: string): never {
  throw new Refusal(envelope(status, message))
}

/** The answer for anything a handler throws. */
export function answerOf(error: unknown): Answer {
  if (error instanceof Refusal) return error.answer
  if (error instanceof HubError) {
    const answer = envelope(STATUS_OF[error.code], error.message)
    return withHeaders(answer, ['X-Hub-Error', error.code, ...retryAfter(error)])
  }
  if (isAbort(error)) return envelope(503, 'the request was given up')
  return envelope(500, 'internal server error')
}

function retryAfter(error: HubError): string[] {
  if (error instanceof RateLimitedError) return ['Retry-After', String(error.retryAfterS)]
  return error.code === 'HUB_UNAVAILABLE' ? ['Retry-After', String(RETRY_AFTER_S)] : []
}

/** True for what nobody raised on purpose, and for what an operator should see: logged with its cause. */
export function isWorthLogging(error: unknown): boolean {
  if (error instanceof Refusal || isAbort(error)) return false
  return !(error instanceof HubError) || STATUS_OF[error.code] >= 500
}
