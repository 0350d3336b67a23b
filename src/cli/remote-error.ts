/** From an answer of failure to the error it was on the node; nothing that a stranger sends is believed further. */
import type { IncomingMessage } from 'node:http'
import {
  ConflictError,
  CorruptError,
  DiskFullError,
  ForbiddenError,
  HubError,
  InvalidInputError,
  MalformedError,
  NotFoundError,
  RateLimitedError,
  UnauthorizedError,
  UnavailableError,
  UnsupportedVersionError,
  type HubErrorCode,
} from '../errors.ts'

/** The node failed without one of our codes, cut its answer off, or is no node of ours. */
export class RemoteError extends Error {
  override readonly name = 'RemoteError'
}

/** An error of a limit keeps the sentence that the node wrote. */
class RemoteLimitError extends HubError {
  readonly code = 'HUB_LIMIT'
}

const MAKE: Readonly<Record<HubErrorCode, (message: string) => HubError>> = {
  HUB_INVALID_INPUT: (message) => new InvalidInputError(message),
  HUB_MALFORMED: (message) => new MalformedError('request', message),
  HUB_LIMIT: (message) => new RemoteLimitError(message),
  HUB_UNAUTHORIZED: (message) => new UnauthorizedError(message),
  HUB_FORBIDDEN: (message) => new ForbiddenError(message),
  HUB_NOT_FOUND: (message) => new NotFoundError(message),
  HUB_CONFLICT: (message) => new ConflictError(message),
  HUB_CORRUPT: (message) => new CorruptError('', message),
  HUB_UNSUPPORTED_VERSION: (message) => new UnsupportedVersionError(message),
  HUB_DISK_FULL: (message) => new DiskFullError(message),
  HUB_RATE_LIMITED: (message) => new RateLimitedError(message, 0),
  HUB_UNAVAILABLE: (message) => new UnavailableError(message),
}

/** What a status means where no code is given (the standard API of any hub). */
const CODE_OF_STATUS: Readonly<Record<number, HubErrorCode>> = {
  400: 'HUB_INVALID_INPUT',
  401: 'HUB_UNAUTHORIZED',
  403: 'HUB_FORBIDDEN',
  404: 'HUB_NOT_FOUND',
  409: 'HUB_CONFLICT',
  413: 'HUB_LIMIT',
  429: 'HUB_RATE_LIMITED',
  503: 'HUB_UNAVAILABLE',
  507: 'HUB_DISK_FULL',
}

/** `body` is what the node sent, or `undefined` when that was too long to be a message. */
export function errorOf(response: IncomingMessage, body: Buffer | undefined): Error {
  const status = response.statusCode ?? 0
  const named = response.headers['x-hub-error']
  const code = isCode(named) ? named : CODE_OF_STATUS[status]
  const message = messageIn(body) ?? `the node answered ${status} ${response.statusMessage ?? ''}`.trimEnd()
  return code === undefined ? new RemoteError(message) : MAKE[code](message)
}

/** The error of a followed operation's last line. */
export function failedProgress(error: unknown): Error {
  const { code, message } = error as { code?: unknown; message?: unknown }
  const text = typeof message === 'string' ? message : 'the work failed on the node'
  return isCode(code) ? MAKE[code](text) : new RemoteError(text)
}

function isCode(text: unknown): text is HubErrorCode {
  return typeof text === 'string' && Object.hasOwn(MAKE, text)
}

function messageIn(body: Buffer | undefined): string | undefined {
  try {
    const { message } = JSON.parse(body?.toString('utf8') ?? '') as { message?: unknown }
    return typeof message === 'string' && message !== '' ? message : undefined
  } catch {
    return undefined
  }
}
