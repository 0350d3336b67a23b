import { HubError } from '../errors.ts'
import { toUtf8 } from '../util/bytes.ts'
import { answerOf, Refusal } from './errors.ts'

/** What a form's page says of it. @throws what is no error of the sender. */
export function problemOf(error: unknown): string {
  if (error instanceof Refusal) return wordsOf(error)
  if (error instanceof HubError) return error.message
  throw error
}

/** The message of an envelope. */
export function wordsOf(refusal: Refusal): string {
  const { body } = answerOf(refusal)
  const { message } = JSON.parse(Buffer.isBuffer(body) ? toUtf8(body) : '{}') as { message?: unknown }
  return String(message)
}
