/**
 * Makes files in a folder from the members of a tar stream, and nothing anywhere else: a member's folders are made by
 * this run or looked at first, so no path leads through a link, and nothing is made twice. Folders stay private until
 * the end, when their owners, modes and times are set from the innermost outwards.
 * Synchronous calls: one takes microseconds, the same through the thread pool ten times that, and there are millions.
 */
import * as fs from 'node:fs'
import { ConflictError, MalformedError } from '../errors.ts'
import { EMPTY, fromUtf8, toLatin1, toUtf8 } from '../util/bytes.ts'
import { SECOND_MS } from '../util/units.ts'
import { DeviceMaker } from './device-maker.ts'
import type { TarMember } from './tar-members.ts'

export interface FolderWriterOptions {
  /** Into a folder that has something in it: its files are replaced, its folders kept. */
  readonly force: boolean
  /** Who runs this; owners and devices are for user 0. */
  readonly uid: number
  readonly gid: number
}

/** What the folder lacks of the image, in files. */
export interface LeftOut {
  owners: number
  devices: number
  /** setuid and setgid bits, which would speak for the wrong owner. */
  specialModes: number
}

interface Metadata {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly modifiedS: number
}

const NEW_FILE = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_NOFOLLOW
const PRIVATE_FILE = 0o600
const PRIVATE_FOLDER = 0o700
const SET_ID_BITS = 0o6000

/** Of a folder that no member describes. */
const IMPLIED_FOLDER_MODE = 0o755

export class FolderWriter {
  readonly leftOut: LeftOut = { owners: 0, devices: 0, specialModes: 0 }
  files = 0
  readonly #root: Buffer
  readonly #options: FolderWriterOptions
  /** Everything made by this run, by path. */
  readonly #made = new Set<string>()
  /** Folders to walk through, each behind the one it is in, with what they become; `undefined`: as they are. */
  readonly #folders = new Map<string, Metadata | undefined>()
  readonly #devices: DeviceMaker

  /** @throws {ConflictError} when `root` has something in it and `force` is off. */
  constructor(root: string, options: FolderWriterOptions) {
    this.#options = options
    fs.mkdirSync(root, { recursive: true })
    this.#root = Buffer.from(root)
    if (fs.readdirSync(root).length === 0) this.#takeOver()
    else if (!options.force)
      throw new ConflictError(`${root} is not empty; --force extracts into it all the same`)
    this.#folders.set('', undefined)
    this.#devices = new DeviceMaker(root)
  }

  /** Nobody else may put a link where the next member goes. */
  #takeOver(): void {
    if (this.#options.uid === 0) fs.chownSync(this.#root, 0, this.#options.gid)
    fs.chmodSync(this.#root, PRIVATE_FOLDER)
  }

  async write(member: TarMember): Promise<void> {
    this.files++
    if (member.kind === 'directory') return this.#folder(member)
    const path = this.#place(member.path)
    switch (member.kind) {
      case 'file':
        return this.#file(path, member)
      case 'link':
        fs.symlinkSync(Buffer.from(member.linkTarget), path)
        this.#setOwner(member, (uid, gid) => fs.lchownSync(path, uid, gid))
        return fs.lutimesSync(path, ...timesOf(member))
      case 'char':
      case 'block':
      case 'fifo':
        return this.#special(path, member, member.kind)
    }
  }

  /** Gives folders their owners, modes and times; whatever happens on the way, every folder is visited. */
  close(): void {
    this.#devices.close()
    let failure: unknown
    for (const [name, metadata] of [...this.#folders].reverse()) {
      if (metadata === undefined) continue
      const path = this.#full(Buffer.from(name, 'latin1'))
      try {
        const isKept = this.#setOwner(metadata, (uid, gid) => fs.chownSync(path, uid, gid))
        fs.chmodSync(path, this.#modeOf(metadata, isKept))
        fs.utimesSync(path, ...timesOf(metadata))
      } catch (error) {
        failure ??= error
      }
    }
    if (failure !== undefined) throw failure as Error
  }

  #folder(member: TarMember): void {
    const name = toLatin1(member.path)
    if (this.#made.has(name)) throw twice(member.path)
    this.#enter(member.path)
    this.#made.add(name)
    this.#folders.set(name, member)
  }

  async #file(path: Buffer, member: TarMember): Promise<void> {
    const descriptor = fs.openSync(path, NEW_FILE, PRIVATE_FILE)
    try {
      for await (const piece of member.content) {
        for (let at = 0; at < piece.length;) at += fs.writeSync(descriptor, piece, at)
      }
      const isKept = this.#setOwner(member, (uid, gid) => fs.fchownSync(descriptor, uid, gid))
      fs.fchmodSync(descriptor, this.#modeOf(member, isKept)) // after chown, which clears setuid
      fs.futimesSync(descriptor, ...timesOf(member))
    } finally {
      fs.closeSync(descriptor)
    }
  }

  #special(path: Buffer, member: TarMember, kind: 'char' | 'block' | 'fifo'): void {
    const isAllowed = kind === 'fifo' || this.#options.uid === 0
    if (!isAllowed || !this.#devices.make(path, kind, member.major, member.minor)) {
      this.leftOut.devices++
      return
    }
    const isKept = this.#setOwner(member, (uid, gid) => fs.lchownSync(path, uid, gid))
    fs.chmodSync(path, this.#modeOf(member, isKept))
    fs.utimesSync(path, ...timesOf(member))
  }

  /** True when the file belongs to whom the image says. */
  #setOwner({ uid, gid }: Metadata, change: (uid: number, gid: number) => void): boolean {
    let isKept = uid === this.#options.uid && gid === this.#options.gid
    if (this.#options.uid === 0) {
      try {
        change(uid, gid)
        isKept = true
      } catch (error) {
        // A container may not know the number, or not be allowed to use it.
        if (!['EPERM', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
        isKept = false
      }
    }
    if (!isKept) this.leftOut.owners++
    return isKept
  }

  #modeOf({ mode }: Metadata, isOwnerKept: boolean): number {
    if (isOwnerKept || (mode & SET_ID_BITS) === 0) return mode
    this.leftOut.specialModes++
    return mode & ~SET_ID_BITS
  }

  /** Where a member goes: its folder is there, and nothing is in its place. */
  #place(path: Uint8Array): Buffer {
    const name = toLatin1(path)
    if (path.length === 0) throw new MalformedError('tar', 'the root of an image is no folder')
    if (this.#made.has(name) || this.#folders.has(name)) throw twice(path)
    this.#enter(parentOf(path))
    const full = this.#full(path)
    if (this.#options.force) removeFile(full)
    this.#made.add(name)
    return full
  }

  /** Makes sure that `path` is a folder, and those around it are. */
  #enter(path: Uint8Array): void {
    const name = toLatin1(path)
    if (this.#folders.has(name)) return
    if (this.#made.has(name)) throw new MalformedError('tar', `${toUtf8(path)} is a folder and a file`)
    this.#enter(parentOf(path))
    const full = this.#full(path)
    const found = fs.lstatSync(full, { throwIfNoEntry: false })
    if (found?.isDirectory() === true) {
      this.#folders.set(name, undefined)
      return
    }
    if (found !== undefined) fs.unlinkSync(full) // only under force: the folder was empty
    fs.mkdirSync(full, PRIVATE_FOLDER)
    this.#folders.set(name, this.#impliedMetadata())
  }

  #impliedMetadata(): Metadata {
    const { uid, gid } = this.#options
    return { mode: IMPLIED_FOLDER_MODE, uid, gid, modifiedS: 0 }
  }

  #full(path: Uint8Array): Buffer {
    return path.length === 0 ? this.#root : Buffer.concat([this.#root, SLASH, path])
  }
}
const SLASH = fromUtf8('/')

/** Access and modification. As dates: Node takes a negative number for now. */
function timesOf({ modifiedS }: Metadata): [accessed: Date, modified: Date] {
  const time = new Date(modifiedS * SECOND_MS)
  return [time, time]
}

function parentOf(path: Uint8Array): Uint8Array {
  const end = path.lastIndexOf(0x2f)
  return end < 0 ? EMPTY : path.subarray(0, end)
}

/** What stood in a file's place goes; a folder stays, and is the error. */
function removeFile(path: Buffer): void {
  const found = fs.lstatSync(path, { throwIfNoEntry: false })
  if (found?.isDirectory() === true)
    throw new ConflictError(`${toUtf8(path)} is a folder here and a file in the image`)
  if (found !== undefined) fs.unlinkSync(path)
}

function twice(path: Uint8Array): MalformedError {
  return new MalformedError('tar', `${toUtf8(path)} comes twice in the tar stream`)
}
