import { LimitError, MalformedError } from '../errors.ts'
import type { TarHeader, TarKind } from '../format/tar.ts'
import { concat, toLatin1 } from '../util/bytes.ts'
import type { IngestLimits } from './ingest-limits.ts'
import { paxNumber, PaxState } from './pax.ts'
import type { PaxRecord } from './pax.ts'

/** A member of an archive as its headers say. Byte arrays are views: valid until the next step of the reader. */
export interface TarMember {
  readonly kind: TarKind
  /** As it stands there: not normalised. */
  readonly path: Uint8Array
  /** Of links and hard links. */
  readonly linkTarget: Uint8Array
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly userName: Uint8Array
  readonly groupName: Uint8Array
  /** Whole seconds; may be negative. */
  readonly modifiedS: number
  /** Of a file, with its holes filled; 0 for everything else. */
  readonly sizeBytes: number
  readonly major: number
  readonly minor: number
}

/** Extension headers before one member; more are a loop. */
const MAX_EXTENSIONS = 64
const MAX_ID = 0xffffffff

/** What extension headers, of pax and of GNU, say of the next member, and what it is with its own header. */
export class MemberExtensions {
  readonly #maxBytes: number
  readonly #pax: PaxState
  #longPath: Uint8Array | undefined
  #longTarget: Uint8Array | undefined
  #count = 0
  #bytes = 0

  constructor({ maxPaxBytes }: Pick<IngestLimits, 'maxPaxBytes'>) {
    this.#maxBytes = maxPaxBytes
    this.#pax = new PaxState(maxPaxBytes)
  }

  /** To be asked before an extension is read. @throws {LimitError} */
  expect(bytes: number): void {
    this.#count++
    this.#bytes += bytes
    if (this.#bytes > this.#maxBytes) {
      throw new LimitError('extension headers of a tar member', this.#maxBytes, 'bytes')
    }
    if (this.#count > MAX_EXTENSIONS) {
      throw new LimitError('extension headers of a tar member', MAX_EXTENSIONS, 'headers')
    }
  }

  /** The body of an extension of one of the types x, X, g, L, K. @throws {MalformedError | LimitError} */
  add(type: string, body: Uint8Array): void {
    if (type === 'L') this.#longPath = untilNul(body.slice())
    else if (type === 'K') this.#longTarget = untilNul(body.slice())
    else if (type === 'g') this.#pax.addGlobal(body)
    else this.#pax.addLocal(body)
  }

  /** The member has had its header. */
  end(): void {
    this.#pax.endMember()
    this.#longPath = undefined
    this.#longTarget = undefined
    this.#count = 0
    this.#bytes = 0
  }

  path(header: TarHeader): Uint8Array {
    const inPax = this.#pax.isEmpty ? undefined : (this.#pax.get('GNU.sparse.name') ?? this.#pax.get('path'))
    const path = inPax ?? this.#longPath
    if (path !== undefined) return path
    return header.prefix.length === 0 ? header.name : concat([header.prefix, Buffer.from('/'), header.name])
  }

  /** Bytes of content that follow, with the map of a sparse file. */
  storedBytes(header: TarHeader): number {
    return this.#number('size') ?? header.sizeBytes
  }

  /** `0` (0.0 and 0.1) or `1`, of GNU's pax formats; `undefined` when the member is not of these. */
  get sparseFormat(): string | undefined {
    if (this.#pax.isEmpty) return undefined
    const major = this.#pax.get('GNU.sparse.major')
    if (major !== undefined) return toLatin1(major)
    const isSparse = ['GNU.sparse.map', 'GNU.sparse.size'].some((key) => this.#pax.get(key) !== undefined)
    return isSparse ? '0' : undefined
  }

  /** The size of a sparse file with its holes. @throws {MalformedError} */
  get sparseBytes(): number {
    const size = this.#number('GNU.sparse.realsize') ?? this.#number('GNU.sparse.size')
    if (size === undefined) throw new MalformedError('tar', 'not a tar archive: a sparse file has no size')
    return size
  }

  /** The member's own pax records, in their order. */
  get records(): readonly PaxRecord[] {
    return this.#pax.records
  }

  /** @throws {MalformedError} for owners that are none. */
  describe(header: TarHeader, kind: TarKind, path: Uint8Array, sizeBytes: number): TarMember {
    const linkTarget = this.#longTarget ?? header.linkName
    const { major, minor, mode, userName, groupName, modifiedS } = header
    const uid = checkId('user', this.#number('uid') ?? header.uid)
    const gid = checkId('group', this.#number('gid') ?? header.gid)
    const own = {
      kind,
      path,
      linkTarget,
      mode,
      uid,
      gid,
      userName,
      groupName,
      modifiedS,
      sizeBytes,
      major,
      minor,
    }
    if (this.#pax.isEmpty) return own
    const time = this.#pax.get('mtime')
    return {
      ...own,
      linkTarget: this.#pax.get('linkpath') ?? linkTarget,
      userName: this.#pax.get('uname') ?? userName,
      groupName: this.#pax.get('gname') ?? groupName,
      modifiedS: time === undefined ? modifiedS : paxNumber('mtime', time),
    }
  }

  #number(key: string): number | undefined {
    const value = this.#pax.isEmpty ? undefined : this.#pax.get(key)
    if (value === undefined) return undefined
    const count = paxNumber(key, value)
    if (count < 0) throw new MalformedError('tar', `not a tar archive: the pax header ${key} is negative`)
    return count
  }
}

const KINDS: Readonly<Record<string, TarKind>> = {
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hardlink',
  '2': 'link',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  D: 'directory', // of an incremental dump: its content lists names
  '6': 'fifo',
}

/** Old writers mark a directory by a slash at the end alone. @throws {MalformedError} */
export function kindOf({ type }: TarHeader, path: Uint8Array): TarKind {
  const kind = KINDS[type]
  if (kind === undefined) {
    throw new MalformedError('tar', `members of the type ${JSON.stringify(type)} are not taken`)
  }
  return kind === 'file' && path.at(-1) === 0x2f ? 'directory' : kind
}

function checkId(what: string, id: number): number {
  if (id > MAX_ID) throw new MalformedError('tar', `the ${what} id ${id} is over ${MAX_ID}`)
  return id
}

function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

/** Reading on moves the input that a member's fields are views of. */
export function ownCopy(member: TarMember): TarMember {
  return {
    ...member,
    path: member.path.slice(),
    linkTarget: member.linkTarget.slice(),
    userName: member.userName.slice(),
    groupName: member.groupName.slice(),
  }
}
