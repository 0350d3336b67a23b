import { CorruptError, DiskFullError, InvalidInputError, LimitError, MalformedError } from '../errors.ts'
import type { HubError } from '../errors.ts'

/** An error on its way between threads: structured clones lose the class. */
export interface ThreadError {
  readonly type: 'malformed' | 'limit' | 'corrupt' | 'disk-full' | 'invalid' | 'other'
  readonly message: string
  readonly stack?: string | undefined
  readonly format?: string
  readonly offset?: number | undefined
  readonly limit?: number
  readonly unit?: string
  readonly id?: string
}

export function packError(error: unknown): ThreadError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  if (error instanceof MalformedError) {
    return { type: 'malformed', message, format: error.format, offset: error.offset }
  }
  if (error instanceof LimitError) {
    return { type: 'limit', message, limit: error.limit, unit: error.unit }
  }
  if (error instanceof CorruptError) return { type: 'corrupt', message, id: error.id }
  if (error instanceof DiskFullError) return { type: 'disk-full', message }
  if (error instanceof InvalidInputError) return { type: 'invalid', message }
  return { type: 'other', message, stack }
}

/** A `HubError` of the same class, or a plain error with the stack of the other thread as its cause. */
export function unpackError(packed: ThreadError): HubError | Error {
  const { message } = packed
  switch (packed.type) {
    case 'malformed':
      return new MalformedError(packed.format ?? 'flist', message, offsetOption(packed.offset))
    case 'limit': {
      const what = message.slice(0, message.lastIndexOf(': the limit is '))
      return new LimitError(what, packed.limit ?? 0, packed.unit ?? '')
    }
    case 'corrupt':
      return new CorruptError(packed.id ?? '', message)
    case 'disk-full':
      return new DiskFullError(message)
    case 'invalid':
      return new InvalidInputError(message)
    case 'other':
      return new Error(message, { cause: packed.stack })
  }
}

function offsetOption(offset: number | undefined): { offset?: number } {
  return offset === undefined ? {} : { offset }
}
