import { MalformedError } from '../errors.ts'
import { toLatin1 } from '../util/bytes.ts'
import { nameProblem, show } from './entry-name.ts'
import type { IngestLimits } from './ingest-limits.ts'

/**
 * Paths of members while an archive is taken in: one character a byte, parts joined by NUL instead of a slash. In
 * this order of strings a directory comes before what is in it, and that before the directory's next sibling.
 */
export interface MemberPath {
  /** Of the directory it is in; empty for the root's entries. */
  readonly parent: string
  /** Empty for the root itself. */
  readonly name: string
}

export const ROOT_PATH: MemberPath = { parent: '', name: '' }
const SEPARATOR = '\0'

type PathLimits = Pick<IngestLimits, 'maxPathBytes' | 'maxDepth'>

/** Reads paths as tar extracts them: without leading slashes, `.` and empty parts. */
export class PathReader {
  readonly #limits: PathLimits
  /** Neighbours mostly have one parent; they share its string. */
  #lastFolder = ''
  #lastParent = ''

  constructor(limits: PathLimits) {
    this.#limits = limits
  }

  /** @throws {MalformedError} naming the member, for what no filesystem could hold, or what leads out of it. */
  read(raw: Uint8Array): MemberPath {
    const { maxPathBytes } = this.#limits
    if (raw.length === 0) throw refused(raw, 'it has no name')
    if (raw.length > maxPathBytes) throw refused(raw, `its path is longer than ${maxPathBytes} bytes`)
    const text = toLatin1(raw)
    if (text.includes('\0')) throw refused(raw, 'its path has a NUL in it')
    let end = text.length
    while (end > 0 && text[end - 1] === '/') end--
    const cut = text.lastIndexOf('/', end - 1)
    const name = text.slice(cut + 1, end)
    if (cut < 0 || name === '.' || name === '') return this.#split(raw, text)
    const folder = text.slice(0, cut)
    if (folder !== this.#lastFolder) {
      const parent = this.#split(raw, folder)
      this.#lastFolder = folder
      this.#lastParent = joinPath(parent)
    }
    if (depthOf(this.#lastParent) >= this.#limits.maxDepth) throw this.#tooDeep(raw)
    checkName(raw, name)
    return { parent: this.#lastParent, name }
  }

  #split(raw: Uint8Array, text: string): MemberPath {
    const parts = text.split('/').filter((part) => part !== '' && part !== '.')
    for (const part of parts) checkName(raw, part)
    if (parts.length > this.#limits.maxDepth) throw this.#tooDeep(raw)
    const name = parts.pop() ?? ''
    return { parent: parts.join(SEPARATOR), name }
  }

  #tooDeep(raw: Uint8Array): MalformedError {
    return refused(raw, `it lies in more than ${this.#limits.maxDepth} folders`)
  }
}

function checkName(raw: Uint8Array, name: string): void {
  if (name === '..') throw refused(raw, 'its path leads upwards (..)')
  if (name.length <= 255) return // what else a name must be, splitting has seen to
  throw refused(raw, `its path has ${nameProblem(Buffer.from(name, 'latin1')) ?? 'a bad name'}`)
}

function refused(raw: Uint8Array, reason: string): MalformedError {
  return new MalformedError('tar', `the member ${show(raw)} is refused: ${reason}`)
}

/** The path as one string, to be the parent of others; empty for the root. */
export function joinPath({ parent, name }: MemberPath): string {
  return parent === '' ? name : parent + SEPARATOR + name
}

/** The last part and what it lies in. */
export function splitPath(path: string): MemberPath {
  const cut = path.lastIndexOf(SEPARATOR)
  return { parent: path.slice(0, Math.max(cut, 0)), name: path.slice(cut + 1) }
}

function depthOf(path: string): number {
  let depth = path === '' ? 0 : 1
  for (let at = path.indexOf(SEPARATOR); at >= 0; at = path.indexOf(SEPARATOR, at + 1)) depth++
  return depth
}

/** The bytes that the path has in a flist: parts joined by slashes. */
export function pathBytes(path: string): Buffer {
  return Buffer.from(path.replaceAll(SEPARATOR, '/'), 'latin1')
}
