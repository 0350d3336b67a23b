/** One uploaded file of a multipart form, streamed: fields may stand before it or after it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { Busboy, type BusboyHeaders, type BusboyInstance } from '@fastify/busboy'
import { HubError, InvalidInputError, LimitError, MalformedError } from '../errors.ts'
import { KIB, MIB } from '../util/units.ts'
import { readBody } from './body.ts'
import { Refusal } from './errors.ts'

/** Security.md row 13. */
const MAX_PARTS = 64
const MAX_FIELD_BYTES = 64 * KIB
const MAX_FIELD_NAME_BYTES = 1 * KIB
const MAX_PART_HEADER_BYTES = 16 * KIB

/** What boundaries, part headers and fields may add to the file itself. */
const FORM_OVERHEAD_BYTES = 5 * MIB

export interface FormFile {
  /** As the client named it; may be empty. */
  readonly filename: string
  /** Its bytes. The end is held back until the whole form is in, so whoever has seen it knows every field. */
  readonly body: AsyncIterable<Uint8Array>
  /** The fields so far: all of them once `body` has ended. */
  readonly fields: ReadonlyMap<string, string>
}

export interface FormOptions {
  readonly maxFileBytes: number
  /** The part that is the file; other files are passed over. */
  readonly fileField: string
  /** Filled with the form's fields, for who wants them without a file too. */
  readonly fields?: Map<string, string>
  /** The slowest that it may come, as of now; the common floor when absent. */
  readonly floorBytesPerS?: () => number
}

/**
 * Reads a form and hands its file to `take` while the body still comes in. Resolves once both are through, to
 * `undefined` when there is no such file. When either fails the other is given up.
 * @throws {MalformedError} for a broken form, {LimitError}, and whatever `take` throws.
 */
export async function readForm<T>(
  request: IncomingMessage,
  response: ServerResponse,
  options: FormOptions,
  take: (file: FormFile) => Promise<T>,
): Promise<T | undefined> {
  const form = createParser(request)
  if (form === undefined) return undefined
  const reading = new FormReading(form, options, take)
  const maxBytes = options.maxFileBytes + FORM_OVERHEAD_BYTES
  try {
    const { signal } = reading
    const { floorBytesPerS } = options
    for await (const piece of readBody(request, response, maxBytes, { signal, floorBytesPerS }))
      await reading.write(piece)
    await reading.finish()
  } catch (error) {
    throw await reading.fail(error)
  }
  return await reading.taken
}

/** `undefined` for a body that is no multipart form: to the contract, one without a file. */
function createParser(request: IncomingMessage): BusboyInstance | undefined {
  const type = request.headers['content-type']
  if (type === undefined || !/^multipart\/form-data\b/i.test(type)) return undefined
  try {
    return new Busboy({
      headers: request.headers as BusboyHeaders,
      limits: {
        parts: MAX_PARTS,
        fieldSize: MAX_FIELD_BYTES,
        fieldNameSize: MAX_FIELD_NAME_BYTES,
        headerSize: MAX_PART_HEADER_BYTES,
      },
      preservePath: true, // secure_filename sees the whole of it
      isPartAFile: (_name, _type, filename) => filename !== undefined,
    })
  } catch {
    return undefined // no boundary
  }
}

/** One form on its way through the parser. */
class FormReading<T> {
  readonly fields: Map<string, string>
  taken: Promise<T> | undefined
  readonly #form: BusboyInstance
  readonly #complete = deferred<void>()
  readonly #broken = new AbortController()
  #file: Readable | undefined

  constructor(
    form: BusboyInstance,
    { fileField, fields = new Map() }: FormOptions,
    take: (file: FormFile) => Promise<T>,
  ) {
    this.#form = form
    this.fields = fields
    form.on('file', (name, stream, filename) => {
      stream.on('error', () => {}) // of a part that breaks off: the form itself tells
      if (name !== fileField || this.taken !== undefined) return void stream.resume()
      this.#file = stream
      const file = { filename, fields: this.fields, body: this.#heldBack(stream) }
      this.taken = take(file)
      this.taken.catch((error: unknown) => this.#break(error))
    })
    form.on('field', (name: string | undefined, value, nameTruncated, valueTruncated) => {
      if (nameTruncated || valueTruncated) this.#break(new LimitError('form field', MAX_FIELD_BYTES, 'bytes'))
      if (name !== undefined && !this.fields.has(name)) this.fields.set(name, value)
    })
    form.on('partsLimit', () => this.#break(new LimitError('form', MAX_PARTS, 'parts')))
    form.on('error', (cause) => this.#break(malformed(cause)))
    this.#complete.promise.catch(() => {})
  }

  /** Aborted, with the failure as its reason, as soon as the rest of the body is of no use. */
  get signal(): AbortSignal {
    return this.#broken.signal
  }

  /** Resolves when the parser has room for more. */
  async write(piece: Buffer): Promise<void> {
    if (!this.#form.write(piece)) await this.#event('drain')
  }

  async finish(): Promise<void> {
    const finished = this.#event('finish')
    this.#form.end()
    await finished
    this.#complete.resolve()
  }

  /** Gives the rest up, waits for whoever holds the file, and says what went wrong first. */
  async fail(error: unknown): Promise<unknown> {
    this.#complete.reject(error)
    this.#file?.destroy(asError(error))
    await this.taken?.catch(() => {})
    return error
  }

  async #event(name: 'drain' | 'finish'): Promise<void> {
    const { signal } = this
    signal.throwIfAborted()
    try {
      await once(this.#form, name, { signal })
    } catch (error) {
      signal.throwIfAborted() // with what broke it, not with the abort
      throw error
    }
  }

  #break(error: unknown): void {
    this.#broken.abort(error)
  }

  async *#heldBack(stream: Readable): AsyncGenerator<Uint8Array> {
    try {
      yield* stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
      await this.#complete.promise
    } finally {
      stream.resume() // who stops early must not stop the parser
    }
  }
}

function malformed(cause: unknown): Error {
  if (cause instanceof HubError || cause instanceof Refusal) return cause
  return new MalformedError('multipart form', `malformed form: ${asError(cause).message}`, { cause })
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new InvalidInputError(String(error))
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue
    reject = onError
  })
  return { promise, resolve, reject }
}
