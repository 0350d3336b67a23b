/** The outer tar of an image archive, which engines write: plain names, few members. Layers are read by others. */
import { LimitError, MalformedError } from '../errors.ts'
import { isZeroBlock, parseTarHeader, TAR_BLOCK_BYTES, tarPadding, type TarHeader } from '../format/tar.ts'
import { concat, EMPTY, toUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'

export interface ArchiveFile {
  /** Normalised: no leading slash or `.`; parts joined by `/`. */
  readonly path: string
  readonly sizeBytes: number
  /** Of symbolic and hard links: as it stands there. */
  readonly link: { readonly isHard: boolean; readonly target: string } | undefined
  /** To be read to its end before the next file. */
  readonly content: AsyncIterable<Uint8Array>
}

const MAX_MEMBERS = 16_384
const MAX_PATH = 1024
const MAX_EXTENSION_BYTES = 64 * KIB

/** Files and links, in their order. @throws {MalformedError | LimitError} */
export async function* tarFiles(source: AsyncIterable<Uint8Array>): AsyncGenerator<ArchiveFile> {
  const input = new Input(source)
  let extended: Extended = {}
  for (let members = 0; ; members++) {
    if (members > MAX_MEMBERS) throw new LimitError('members of an image archive', MAX_MEMBERS, 'members')
    const block = await input.take(TAR_BLOCK_BYTES)
    if (block === undefined || isZeroBlock(block)) break
    const header = parseTarHeader(block)
    if ('xXLKg'.includes(header.type)) {
      extended = { ...extended, ...(await readExtension(input, header)) }
      continue
    }
    const file = describe(header, extended, input)
    extended = {}
    if (file !== undefined) yield file
    await input.endFile()
  }
  await input.drain()
}

interface Extended {
  readonly path?: string
  readonly linkTarget?: string
  readonly sizeBytes?: number
}

async function readExtension(input: Input, { type, sizeBytes }: TarHeader): Promise<Extended> {
  if (sizeBytes > MAX_EXTENSION_BYTES)
    throw new LimitError('extension header of an image archive', MAX_EXTENSION_BYTES, 'bytes')
  const body = await input.need(sizeBytes)
  await input.need(tarPadding(sizeBytes))
  const text = toUtf8(body).replace(/\0+$/, '')
  if (type === 'L') return { path: text }
  if (type === 'K') return { linkTarget: text }
  return type === 'g' ? {} : paxRecords(body)
}

function paxRecords(body: Uint8Array): Extended {
  let extended: Extended = {}
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at)
    const length = space < 0 ? NaN : Number(toUtf8(body.subarray(at, space)))
    if (!Number.isSafeInteger(length) || length <= space - at || at + length > body.length)
      throw malformed('a pax header of it is none')
    const record = toUtf8(body.subarray(space + 1, at + length - 1))
    const equals = record.indexOf('=')
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)]
    if (key === 'path') extended = { ...extended, path: value }
    if (key === 'linkpath') extended = { ...extended, linkTarget: value }
    if (key === 'size') extended = { ...extended, sizeBytes: sizeOf(value) }
    at += length
  }
  return extended
}

function sizeOf(text: string): number {
  const size = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(size)) throw malformed('a size in it is none')
  return size
}

/** `undefined` for what is neither file nor link. */
function describe(header: TarHeader, extended: Extended, input: Input): ArchiveFile | undefined {
  const { type } = header
  const isLink = type === '1' || type === '2'
  const isFile = type === '0' || type === '7'
  const sizeBytes = isLink ? 0 : (extended.sizeBytes ?? header.sizeBytes)
  input.beginFile(sizeBytes)
  if (!isFile && !isLink) return undefined
  const link = isLink
    ? { isHard: type === '1', target: bounded(extended.linkTarget ?? toUtf8(header.linkName)) }
    : undefined
  const path = normalPath(bounded(extended.path ?? pathOf(header)))
  return { path, sizeBytes, link, content: input.content() }
}

function pathOf({ prefix, name }: TarHeader): string {
  return prefix.length === 0 ? toUtf8(name) : `${toUtf8(prefix)}/${toUtf8(name)}`
}

function bounded(path: string): string {
  if (path.length > MAX_PATH) throw malformed('a path in it is too long')
  return path
}

/** `./a//b/../c` is `a/c`; what leads out of the archive is refused. @throws {MalformedError} */
export function normalPath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) throw malformed('a path in it leads upwards (..)')
  }
  return parts.join('/')
}

/** Bytes of a source, so many at a time. */
class Input {
  readonly #pieces: AsyncIterator<Uint8Array>
  #piece: Uint8Array = EMPTY
  #left = 0
  #padding = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#pieces = source[Symbol.asyncIterator]()
  }

  /** `undefined` at the end. @throws {MalformedError} in the middle. */
  async take(length: number): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = []
    for (let left = length; left > 0;) {
      if (!(await this.#fill())) {
        if (left === length) return undefined
        throw malformed('it is cut off')
      }
      const part = this.#piece.slice(0, left) // a copy: the source takes its piece back
      this.#piece = this.#piece.subarray(part.length)
      parts.push(part)
      left -= part.length
    }
    return concat(parts)
  }

  async need(length: number): Promise<Uint8Array> {
    const bytes = length === 0 ? EMPTY : await this.take(length)
    if (bytes === undefined) throw malformed('it is cut off')
    return bytes
  }

  beginFile(sizeBytes: number): void {
    this.#left = sizeBytes
    this.#padding = tarPadding(sizeBytes)
  }

  async *content(): AsyncGenerator<Uint8Array> {
    while (this.#left > 0) {
      if (!(await this.#fill())) throw malformed('it is cut off')
      const part = this.#piece.subarray(0, this.#left)
      this.#piece = this.#piece.subarray(part.length)
      this.#left -= part.length
      yield part
    }
  }

  /** Passes over what was not read. */
  async endFile(): Promise<void> {
    for await (const _ of this.content());
    await this.need(this.#padding)
    this.#padding = 0
  }

  /** The source is read to its end. */
  async drain(): Promise<void> {
    do this.#piece = EMPTY
    while (await this.#fill())
  }

  async #fill(): Promise<boolean> {
    while (this.#piece.length === 0) {
      const next = await this.#pieces.next()
      if (next.done === true) return false
      this.#piece = next.value
    }
    return true
  }
}

function malformed(reason: string): MalformedError {
  return new MalformedError('image', `not an image archive: ${reason}`)
}
