import * as errors from '../errors.ts'
import { HubError } from '../errors.ts'

/** An error on its way between threads, where classes get lost. */
export interface PackedError {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  /** The fields of its class. */
  readonly fields: Readonly<Record<string, unknown>>
}

export function packError(error: unknown): PackedError {
  if (!(error instanceof Error))
    return { name: 'Error', message: String(error), stack: undefined, fields: {} }
  const fields = error instanceof HubError ? Object.entries(error).filter(([key]) => key !== 'cause') : []
  const { name, message, stack } = error
  return { name, message, stack, fields: Object.fromEntries(fields) }
}

const CLASSES = new Map<string, { readonly prototype: Error }>(
  Object.values(errors)
    .filter((value) => typeof value === 'function' && value.prototype instanceof HubError)
    .map((value) => [value.name, value as unknown as { readonly prototype: Error }]),
)

/** The error with the class it had, when it is one of ours; else an `Error`. */
export function unpackError({ name, message, stack, fields }: PackedError): Error {
  const error = Object.assign(new Error(message), fields)
  Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true })
  return Object.setPrototypeOf(error, (CLASSES.get(name) ?? Error).prototype) as Error
}
