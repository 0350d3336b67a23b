import { CorruptError, DiskFullError, HubError, UnavailableError } from '../errors.ts'

/** What LevelDB says, in our words, with its own as the cause. */
export function storeError(cause: unknown): Error {
  if (cause instanceof HubError) return cause
  if (!(cause instanceof Error)) return new UnavailableError(String(cause))
  const text = describe(cause) + (cause.cause instanceof Error ? describe(cause.cause) : '')
  if (/ENOSPC|EDQUOT|No space left|quota exceeded/i.test(text)) {
    return new DiskFullError('the disk is full', { cause })
  }
  if (/LEVEL_LOCKED/.test(text)) {
    return new UnavailableError('the data folder is in use by another zhub process', { cause })
  }
  if (/LEVEL_CORRUPTION|Corruption/.test(text)) {
    return new CorruptError('database', `the database is damaged: ${cause.message}`, { cause })
  }
  return new UnavailableError(`the database failed: ${cause.message}`, { cause })
}

function describe(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return `${code ?? ''} ${error.message} `
}

/** A call into LevelDB that answers at once; its errors become ours. */
export function inStoreSync<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw storeError(cause)
  }
}

/** A call into LevelDB that waits; its errors become ours. */
export async function inStore<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw storeError(cause)
  }
}
