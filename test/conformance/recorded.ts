/** The recorded cases of the original hub, as golden/hub/README.md describes them. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Profile = 'noauth' | 'auth' | 'readonly' | 'debug' | 'nodot'

export interface RecordedBody {
  readonly text?: string
  readonly base64?: string
  readonly sha256?: string
  readonly omitted?: boolean
  readonly template_page?: boolean
}

export interface RecordedCase {
  readonly id: string
  readonly seq: number
  readonly profile: Profile
  readonly description: string
  readonly request: {
    readonly method: string
    readonly path: string
    readonly headers: Readonly<Record<string, string>>
    readonly body: RecordedBody | null
    readonly fixture?: string
  }
  readonly response: {
    readonly status: number
    readonly headers: ReadonlyArray<readonly [string, string]>
    readonly body: RecordedBody | null
  } | null
  readonly public_tree_after?: readonly string[]
}

export function readCases(folder: string): RecordedCase[] {
  return readdirSync(folder)
    .filter((name) => /^\d+-.*\.json$/.test(name))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as RecordedCase)
    .sort((a, b) => a.seq - b.seq)
}

/** How the forms of the recording named their file, where that is not its fixture's name. */
const FORM_NAMES: readonly string[] = ['', 'hello.tgz', 'HELLO.TAR.GZ', 'uibig.tar.gz']
const FORM_FIELDS: readonly string[] = ['file', 'flist']

/** The bytes that were sent; a body over 40 kB is built from its fixture and checked against its digest. */
export function requestBody(folder: string, { id, request }: RecordedCase): Buffer {
  const { body, fixture = '' } = request
  if (body === null) return Buffer.alloc(0)
  if (body.text !== undefined) return Buffer.from(body.text)
  if (body.base64 !== undefined) return Buffer.from(body.base64, 'base64')
  const content = readFileSync(join(folder, 'fixtures', fixture))
  const boundary = /boundary=(.*)$/.exec(request.headers['Content-Type'] ?? '')?.[1] ?? ''
  for (const filename of [fixture, ...FORM_NAMES]) {
    for (const field of FORM_FIELDS) {
      const bytes = formOf(boundary, field, filename, content)
      if (createHash('sha256').update(bytes).digest('hex') === body.sha256) return bytes
    }
  }
  throw new Error(`${id}: no form with ${fixture} has the recorded digest`)
}

function formOf(boundary: string, field: string, filename: string, content: Buffer): Buffer {
  const head =
    `--${boundary}\r\nContent-Disposition: form-data; name="${field}"; filename="${filename}"\r\n` +
    'Content-Type: application/octet-stream\r\n\r\n'
  return Buffer.concat([Buffer.from(head), content, Buffer.from(`\r\n--${boundary}--\r\n`)])
}
