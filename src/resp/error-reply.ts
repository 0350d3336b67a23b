import { HubError, type HubErrorCode } from '../errors.ts'
import { encodeError } from '../format/resp.ts'

/** What a failed command answers. Total: a new code does not compile until the port has words for it. */
const REPLIES: Record<HubErrorCode, (message: string) => string> = {
  HUB_INVALID_INPUT: (message) => `ERR ${message}`,
  HUB_MALFORMED: (message) => `ERR ${message}`,
  HUB_LIMIT: (message) => `ERR ${message}`,
  HUB_UNAUTHORIZED: (message) => `NOAUTH ${message}`,
  HUB_FORBIDDEN: (message) => `NOPERM ${message}`,
  HUB_NOT_FOUND: (message) => `ERR ${message}`,
  HUB_CONFLICT: (message) => `ERR ${message}`,
  HUB_CORRUPT: (message) => `ERR ${message}`,
  HUB_UNSUPPORTED_VERSION: (message) => `ERR ${message}`,
  HUB_DISK_FULL: () => 'No space left on this namespace',
  HUB_RATE_LIMITED: (message) => `ERR ${message}`,
  HUB_UNAVAILABLE: (message) => `ERR ${message}`,
}

/** What was not raised on purpose says nothing of the inside. */
export function errorReply(error: unknown): Uint8Array {
  return encodeError(error instanceof HubError ? REPLIES[error.code](error.message) : 'Internal Error')
}
