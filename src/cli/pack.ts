/**
 * A folder as a tar stream in GNU format, made while it is read: raw names, owners, modes, times in whole seconds,
 * links, devices, fifos, and hard links to the first file of an inode. The same folder gives the same bytes.
 * What tar cannot hold (sockets) and what vanished meanwhile is left out and told.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  read,
  readlinkSync,
  readSync,
  type BigIntStats,
} from 'node:fs'
import { promisify } from 'node:util'
import { ConflictError } from '../errors.ts'
import { encodeTarHeader, TAR_END, tarPadding, type TarEntry, type TarKind } from '../format/tar.ts'
import { toUtf8 } from '../util/bytes.ts'
import { KIB, MIB } from '../util/units.ts'
import { deviceNumber } from './device-number.ts'
import { walkFiles, type WalkedFile } from './file-walk.ts'
import { readOwnerNames, type OwnerNames } from './owner-names.ts'

export interface PackOptions {
  readonly oneFileSystem?: boolean
  readonly names?: OwnerNames
  /** Told what was left out or cut, one sentence about each. */
  readonly onNote: (sentence: string) => void
}

/** Files up to this size are read at once, before anything else gets a turn. Ours. */
const SMALL_FILE_BYTES = 64 * KIB
const READ_BYTES = MIB

/** Small pieces of a stream cost more than they carry: headers and small files go out together. */
const PIECE_BYTES = 256 * KIB

/**
 * @throws {ConflictError} when a file gets shorter while it is read: an image with a hole in it helps nobody.
 * @throws the error of the filesystem for what cannot be read.
 */
export async function* packFolder(root: string, options: PackOptions): AsyncGenerator<Uint8Array> {
  yield* gathered(new FolderPacker(options).members(root), PIECE_BYTES)
}

/** Bytes of the files below a folder, for a progress bar; hard links counted once. */
export function measureFolder(
  root: string,
  { oneFileSystem = false }: Pick<PackOptions, 'oneFileSystem'>,
): number {
  const seen = new Set<string>()
  let bytes = 0
  for (const { stat } of walkFiles(root, { oneFileSystem, onVanished: () => {} })) {
    if (stat.isFile() && !seen.has(inodeOf(stat))) bytes += Number(stat.size)
    if (stat.nlink > 1n) seen.add(inodeOf(stat))
  }
  return bytes
}

class FolderPacker {
  readonly #options: PackOptions
  readonly #names: OwnerNames
  /** Path of the first file of each inode that has several names. */
  readonly #firstOf = new Map<string, Uint8Array>()

  constructor(options: PackOptions) {
    this.#options = options
    this.#names = options.names ?? readOwnerNames()
  }

  async *members(root: string): AsyncGenerator<Uint8Array> {
    const { oneFileSystem = false, onNote } = this.#options
    const onVanished = (path: Uint8Array) => onNote(`${toUtf8(path)} vanished before it was read: left out`)
    for (const file of walkFiles(root, { oneFileSystem, onVanished })) yield* this.#member(file)
    yield TAR_END
  }

  async *#member(file: WalkedFile): AsyncGenerator<Uint8Array> {
    const kind = kindOf(file.stat)
    if (kind === undefined) {
      this.#options.onNote(`${toUtf8(file.path)} is a socket: left out`)
      return
    }
    if (kind === 'file') yield* this.#file(file)
    else if (kind === 'link') yield* this.#link(file)
    else if (kind === 'directory' || kind === 'fifo') yield this.#header(file, kind)
    else yield this.#header(file, kind, deviceNumber(file.stat.rdev))
  }

  *#link(file: WalkedFile): Generator<Uint8Array> {
    try {
      const linkTarget = readlinkSync(file.fullPath, { encoding: 'buffer' })
      yield this.#header(file, 'link', { linkTarget })
    } catch (error) {
      this.#changed(file, error)
    }
  }

  async *#file(file: WalkedFile): AsyncGenerator<Uint8Array> {
    const first = this.#firstOf.get(inodeOf(file.stat))
    if (first !== undefined) {
      yield this.#header(file, 'hardlink', { linkTarget: first })
      return
    }
    const descriptor = this.#open(file)
    if (descriptor === undefined) return
    try {
      const stat = fstatSync(descriptor, { bigint: true })
      if (!stat.isFile()) return this.#changed(file)
      if (stat.nlink > 1n) this.#firstOf.set(inodeOf(stat), file.path)
      const sizeBytes = Number(stat.size)
      yield this.#header({ ...file, stat }, 'file', { sizeBytes })
      yield* contentOf(file.path, descriptor, sizeBytes)
      yield new Uint8Array(tarPadding(sizeBytes))
      if (fstatSync(descriptor).size > sizeBytes) {
        this.#options.onNote(
          `${toUtf8(file.path)} grew while it was read: the ${sizeBytes} bytes it had are taken`,
        )
      }
    } finally {
      closeSync(descriptor)
    }
  }

  /** Opens what was seen: never through a link that came in its place, and without waiting for a fifo's writer. */
  #open(file: WalkedFile): number | undefined {
    try {
      return openSync(file.fullPath, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      this.#changed(file, error)
      return undefined
    }
  }

  /** @throws `error`, unless it only says that the file is another one by now. */
  #changed(file: WalkedFile, error?: unknown): void {
    const code = (error as NodeJS.ErrnoException | undefined)?.code ?? 'ENOENT'
    if (!['ENOENT', 'ELOOP', 'EINVAL', 'ENXIO'].includes(code)) throw error
    this.#options.onNote(`${toUtf8(file.path)} changed its kind or vanished while it was read: left out`)
  }

  #header({ path, stat }: WalkedFile, kind: TarKind, more: Partial<TarEntry> = {}): Uint8Array {
    const uid = Number(stat.uid)
    const gid = Number(stat.gid)
    return encodeTarHeader({
      path,
      kind,
      mode: Number(stat.mode & 0o7777n),
      uid,
      gid,
      userName: this.#names.user(uid),
      groupName: this.#names.group(gid),
      sizeBytes: 0,
      modifiedS: wholeSeconds(stat.mtimeNs),
      ...more,
    })
  }
}

/** `undefined` for a socket. */
function kindOf(stat: BigIntStats): TarKind | undefined {
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  if (stat.isSymbolicLink()) return 'link'
  if (stat.isCharacterDevice()) return 'char'
  if (stat.isBlockDevice()) return 'block'
  return stat.isFIFO() ? 'fifo' : undefined
}

function inodeOf(stat: BigIntStats): string {
  return `${stat.dev}:${stat.ino}`
}

/** The earlier second, also before 1970. */
function wholeSeconds(nanoseconds: bigint): number {
  const second = 1_000_000_000n
  return Number((nanoseconds - (((nanoseconds % second) + second) % second)) / second)
}

/** Exactly `sizeBytes` bytes of an open file. */
async function* contentOf(
  path: Uint8Array,
  descriptor: number,
  sizeBytes: number,
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeBytes;) {
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, sizeBytes - at))
    const length =
      sizeBytes <= SMALL_FILE_BYTES
        ? readSync(descriptor, buffer, 0, buffer.length, at)
        : (await readAsync(descriptor, buffer, 0, buffer.length, at)).bytesRead
    if (length === 0)
      throw new ConflictError(`${toUtf8(path)} got shorter while it was read: nothing is published`)
    yield buffer.subarray(0, length)
    at += length
  }
}
const readAsync = promisify(read)

/** Joins small pieces to ones of at least `size` bytes; the last may be shorter. */
async function* gathered(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = []
  let length = 0
  for await (const part of source) {
    parts.push(part)
    length += part.length
    if (length < size) continue
    yield parts.length === 1 ? part : Buffer.concat(parts, length)
    parts = []
    length = 0
  }
  if (length > 0) yield Buffer.concat(parts, length)
}
