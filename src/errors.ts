/**
 * Every error zhub raises on purpose. Callers branch on `code`, people read `message`, logs keep `cause`.
 * HTTP status codes and RESP replies are mapped at the edges by total tables, never here.
 */
export type HubErrorCode =
  | 'HUB_INVALID_INPUT'
  | 'HUB_MALFORMED'
  | 'HUB_LIMIT'
  | 'HUB_UNAUTHORIZED'
  | 'HUB_FORBIDDEN'
  | 'HUB_NOT_FOUND'
  | 'HUB_CONFLICT'
  | 'HUB_CORRUPT'
  | 'HUB_UNSUPPORTED_VERSION'
  | 'HUB_DISK_FULL'
  | 'HUB_RATE_LIMITED'
  | 'HUB_UNAVAILABLE'

export abstract class HubError extends Error {
  abstract readonly code: HubErrorCode
  override get name(): string {
    return this.constructor.name
  }
}

/** A name, a flag or a body that is not what the interface asks for. Never retry. */
export class InvalidInputError extends HubError {
  readonly code = 'HUB_INVALID_INPUT'
}

/** Bytes that are not the format they claim to be. Never retry. */
export class MalformedError extends HubError {
  readonly code = 'HUB_MALFORMED'
  /** What the bytes should have been: `tar`, `gzip`, `flist`, `capnp`, `chunk`, `resp`, `operation` … */
  readonly format: string
  /** Where reading stopped, in bytes from the start of the input, when known. */
  readonly offset: number | undefined

  constructor(format: string, message: string, options: ErrorOptions & { offset?: number } = {}) {
    super(message, options)
    this.format = format
    this.offset = options.offset
  }
}

/** Over a documented bound. Never retry. */
export class LimitError extends HubError {
  readonly code = 'HUB_LIMIT'
  readonly limit: number
  readonly unit: string

  constructor(what: string, limit: number, unit: string, options?: ErrorOptions) {
    super(`${what}: the limit is ${limit} ${unit}`, options)
    this.limit = limit
    this.unit = unit
  }
}

/** No credentials, or credentials that prove nothing. */
export class UnauthorizedError extends HubError {
  readonly code = 'HUB_UNAUTHORIZED'
}

/** Known, but not allowed. */
export class ForbiddenError extends HubError {
  readonly code = 'HUB_FORBIDDEN'
}

/** Only raised at the service edge; sources and stores answer `undefined`. */
export class NotFoundError extends HubError {
  readonly code = 'HUB_NOT_FOUND'
}

/** The name is taken, or changed under the caller. Retry after reading again. */
export class ConflictError extends HubError {
  readonly code = 'HUB_CONFLICT'
}

/** A digest or signature does not fit. Never retry the same source; another copy may be good. */
export class CorruptError extends HubError {
  readonly code = 'HUB_CORRUPT'
  readonly id: string

  constructor(id: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.id = id
  }
}

/** Written by a newer release. */
export class UnsupportedVersionError extends HubError {
  readonly code = 'HUB_UNSUPPORTED_VERSION'
}

/** Below the low-water mark of the disk, or the disk said so itself. */
export class DiskFullError extends HubError {
  readonly code = 'HUB_DISK_FULL'
}

/** Sign-in or mutation too often. */
export class RateLimitedError extends HubError {
  readonly code = 'HUB_RATE_LIMITED'
  readonly retryAfterS: number

  constructor(message: string, retryAfterS: number, options?: ErrorOptions) {
    super(message, options)
    this.retryAfterS = retryAfterS
  }
}

/** Starting, stopping, or nobody there to ask. */
export class UnavailableError extends HubError {
  readonly code = 'HUB_UNAVAILABLE'
}

/** True for the reason an `AbortSignal` carries, which is passed on as is and never logged as a failure. */
export function isAbort(error: unknown, signal?: AbortSignal): boolean {
  if (signal?.aborted === true && error === signal.reason) return true
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')
}
