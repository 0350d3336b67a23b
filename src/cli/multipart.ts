/** A multipart/form-data body with one file, as a stream. RFC 7578. */
import { randomBytes } from 'node:crypto'

export interface Form {
  /** The name that the part carries; ASCII without quotes. The published name goes in a header. */
  readonly filename: string
  readonly headers: Readonly<Record<string, string>>
  readonly file: AsyncIterable<Uint8Array>
  /** The name of its part; `file` unless told. */
  readonly fileField?: string
  /** Bytes of `file`, when that is known before it is read. */
  readonly fileBytes?: number | undefined
  readonly fields?: Readonly<Record<string, string>>
}

export interface FormBody {
  readonly contentType: string
  readonly lengthBytes: number | undefined
  readonly body: AsyncIterable<Uint8Array>
}

export function formBody({ filename, file, fileBytes, fields = {}, fileField = 'file' }: Form): FormBody {
  const boundary = `zhub-${randomBytes(16).toString('hex')}`
  const before = Buffer.from(
    Object.entries(fields)
      .map(
        ([name, value]) =>
          `--${boundary}\r\nContent-Disposition: form-data; name="${quoted(name)}"\r\n\r\n${value}\r\n`,
      )
      .join('') +
      `--${boundary}\r\nContent-Disposition: form-data; name="${quoted(fileField)}"; filename="${quoted(filename)}"\r\n` +
      'Content-Type: application/octet-stream\r\n\r\n',
  )
  const after = Buffer.from(`\r\n--${boundary}--\r\n`)
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    lengthBytes: fileBytes === undefined ? undefined : before.length + fileBytes + after.length,
    body: joined(before, file, after),
  }
}

/** As browsers write it (HTML, "multipart form data"). */
function quoted(text: string): string {
  return text.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

async function* joined(
  before: Uint8Array,
  file: AsyncIterable<Uint8Array>,
  after: Uint8Array,
): AsyncGenerator<Uint8Array> {
  yield before
  yield* file
  yield after
}
