import { MalformedError } from '../errors.ts'
import { EMPTY, fromUtf8, toHex, toLatin1 } from '../util/bytes.ts'
import { blake2b128, blake2b64 } from './blake2b.ts'
import { MessageWriter, readMessage } from './capnp.ts'
import type { StructReader } from './capnp.ts'
import { BLOCK_BYTES, CHUNK_ID_BYTES } from './chunk.ts'

/**
 * The rows of a flist v1: directories with their inodes, and ACLs, as Cap'n Proto messages (flist-v1.md §3 to §7).
 * What is read may come from the reference tools or from a stranger: reading is tolerant where the reference is
 * known to be wrong, and never trusts a length. The container (gzip, tar, sqlite) is not here.
 *
 * Byte arrays that decoding answers are views of the message.
 */
export interface Directory {
  /** Last part of the path; empty for the root. */
  readonly name: Uint8Array
  /** Path relative to the root, no slash at either end; empty for the root. */
  readonly location: Uint8Array
  /** Key of the parent; the root's own for the root. The reference sometimes writes a wrong one: not to be used. */
  readonly parentKey: string
  readonly sizeBytes: number
  readonly aclKey: string
  /** Unix seconds, u32. */
  readonly modifiedS: number
  /** `st_ctime` in Unix seconds, u32. The reference's name for it is creationTime. */
  readonly changedS: number
  /** In the order given; readers must not rely on any. A hostile or merged flist may repeat names. */
  readonly inodes: readonly Inode[]
}

export interface Inode {
  /** Raw bytes. Checking them is the reader's part. */
  readonly name: Uint8Array
  readonly sizeBytes: number
  readonly aclKey: string
  readonly modifiedS: number
  readonly changedS: number
  readonly content: InodeContent
}

export type InodeContent =
  | { readonly kind: 'directory'; readonly key: string }
  | { readonly kind: 'file'; readonly blockPages: number; readonly blocks: readonly InodeBlock[] }
  | { readonly kind: 'link'; readonly target: Uint8Array }
  | { readonly kind: 'special'; readonly type: number; readonly data: Uint8Array }

export interface InodeBlock {
  /** Storage key, 16 bytes. */
  readonly id: Uint8Array
  /** Decipher key, 16 bytes. */
  readonly key: Uint8Array
}

export interface Acl {
  readonly userName: Uint8Array
  readonly groupName: Uint8Array
  /** Permission bits, 0…07777. */
  readonly mode: number
  /** `st_mode & 0170000` where an old writer left it; 0 otherwise, and never written. */
  readonly typeBits: number
  /** `undefined` where an old writer gave none: the name decides. */
  readonly uid: number | undefined
  readonly gid: number | undefined
}

/** `blockPages` of every file we write: the block size in units of 4,096 bytes. */
export const BLOCK_PAGES = BLOCK_BYTES / 4096
/** The size that the reference gives every directory. */
export const DIRECTORY_SIZE_BYTES = 4096

/** Key of the directory row at `path` (relative, no slash at either end). */
export function directoryKey(path: Uint8Array): string {
  return toHex(blake2b128(path))
}

/** The root's row: where every reader starts. */
export const ROOT_KEY = directoryKey(EMPTY)

/** Key under which we file an ACL. Older writers hashed less: never recompute it for an ACL that was read. */
export function aclKey({ userName, groupName, mode, uid = -1, gid = -1 }: Omit<Acl, 'typeBits'>): string {
  const text = `user:${toLatin1(userName)}\ngroup:${toLatin1(groupName)}\nmode:0o${mode.toString(8)}\nuid:${uid}\ngid:${gid}`
  return toHex(blake2b64(Buffer.from(text, 'latin1')))
}

// Struct sizes, [data words, pointers], and union tags: flist-v1.md §4.
const DIR = [2, 5] as const
const INODE = [3, 3] as const
const SUB_DIR = [0, 1] as const
const FILE = [1, 1] as const
const FILE_BLOCK = [0, 2] as const
const LINK = [0, 1] as const
const SPECIAL = [1, 1] as const
const ACI = [3, 3] as const
const TAGS = { directory: 0, file: 1, link: 2, special: 3 } as const

/** One segment. @throws {LimitError} over 64 MiB, which no reader takes. */
export function encodeDirectory(directory: Directory): Uint8Array {
  const message = new MessageWriter()
  const dir = message.root(...DIR)
  const pointers = dir + DIR[0]
  message.u64(dir, 0, directory.sizeBytes)
  message.u32(dir, 8, directory.modifiedS)
  message.u32(dir, 12, directory.changedS)
  message.text(pointers, directory.name)
  message.text(pointers + 1, directory.location)
  message.key(pointers + 3, directory.parentKey)
  message.key(pointers + 4, directory.aclKey)
  let at = message.structs(pointers + 2, directory.inodes.length, ...INODE)
  for (const inode of directory.inodes) {
    encodeInode(message, at, inode)
    at += INODE[0] + INODE[1]
  }
  return message.finish()
}

function encodeInode(message: MessageWriter, at: number, inode: Inode): void {
  const pointers = at + INODE[0]
  message.u64(at, 0, inode.sizeBytes)
  message.u16(at, 8, TAGS[inode.content.kind])
  message.u32(at, 12, inode.modifiedS)
  message.u32(at, 16, inode.changedS)
  message.text(pointers, inode.name)
  encodeContent(message, pointers + 1, inode.content)
  message.key(pointers + 2, inode.aclKey)
}

function encodeContent(message: MessageWriter, pointerAt: number, content: InodeContent): void {
  switch (content.kind) {
    case 'directory':
      message.key(message.struct(pointerAt, ...SUB_DIR), content.key)
      break
    case 'file':
      encodeFile(message, message.struct(pointerAt, ...FILE), content.blockPages, content.blocks)
      break
    case 'link':
      message.text(message.struct(pointerAt, ...LINK), content.target)
      break
    case 'special': {
      const special = message.struct(pointerAt, ...SPECIAL)
      message.u16(special, 0, content.type)
      message.data(special + SPECIAL[0], content.data)
    }
  }
}

/** The block list of an empty file stays null, as the reference has it. */
function encodeFile(
  message: MessageWriter,
  at: number,
  blockPages: number,
  blocks: readonly InodeBlock[],
): void {
  message.u16(at, 0, blockPages)
  if (blocks.length === 0) return
  let pointerAt = message.structs(at + FILE[0], blocks.length, ...FILE_BLOCK)
  for (const { id, key } of blocks) {
    message.data(pointerAt++, id)
    message.data(pointerAt++, key)
  }
}

/** @throws {MalformedError|LimitError} for anything but a directory that can be read as a whole. */
export function decodeDirectory(bytes: Uint8Array): Directory {
  const dir = readMessage(bytes)
  return {
    name: dir.text(0),
    location: dir.text(1),
    parentKey: dir.key(3),
    sizeBytes: dir.u64(0),
    aclKey: dir.key(4),
    modifiedS: dir.u32(8),
    changedS: dir.u32(12),
    inodes: dir.structs(2).map(decodeInode),
  }
}

function decodeInode(inode: StructReader): Inode {
  return {
    name: inode.text(0),
    sizeBytes: inode.u64(0),
    aclKey: inode.key(2),
    modifiedS: inode.u32(12),
    changedS: inode.u32(16),
    content: decodeContent(inode.u16(8), inode.struct(1)),
  }
}

function decodeContent(tag: number, content: StructReader): InodeContent {
  switch (tag) {
    case TAGS.directory:
      return { kind: 'directory', key: content.key(0) }
    case TAGS.file:
      return { kind: 'file', blockPages: content.u16(0), blocks: content.structs(0).map(decodeBlock) }
    case TAGS.link:
      return { kind: 'link', target: content.text(0) }
    case TAGS.special:
      return { kind: 'special', type: content.u16(0), data: content.data(0) }
    default:
      throw new MalformedError('flist', `an inode of the unknown kind ${tag}`)
  }
}

function decodeBlock(block: StructReader): InodeBlock {
  const id = block.data(0)
  const key = block.data(1)
  if (id.length !== CHUNK_ID_BYTES || key.length !== CHUNK_ID_BYTES) {
    throw new MalformedError('flist', `block keys of ${id.length} and ${key.length} bytes; both have 16`)
  }
  return { id, key }
}

const PERMISSIONS = 0o7777
const MAX_ID = 0xffffffff

export function encodeAcl(acl: Acl): Uint8Array {
  const message = new MessageWriter()
  const aci = message.root(...ACI)
  message.u16(aci, 0, acl.mode & PERMISSIONS)
  message.i64DefaultMinusOne(aci, 8, acl.uid ?? -1)
  message.i64DefaultMinusOne(aci, 16, acl.gid ?? -1)
  message.text(aci + ACI[0], acl.userName)
  message.text(aci + ACI[0] + 1, acl.groupName)
  return message.finish()
}

/** @throws {MalformedError|LimitError} */
export function decodeAcl(bytes: Uint8Array): Acl {
  const aci = readMessage(bytes)
  const mode = aci.u16(0)
  return {
    userName: aci.text(0),
    groupName: aci.text(1),
    mode: mode & PERMISSIONS,
    typeBits: mode & ~PERMISSIONS,
    uid: decodeId('uid', aci.i64DefaultMinusOne(8)),
    gid: decodeId('gid', aci.i64DefaultMinusOne(16)),
  }
}

function decodeId(what: string, id: number): number | undefined {
  if (id === -1) return undefined
  if (id < 0 || id > MAX_ID) throw new MalformedError('flist', `an ACL with the ${what} ${id}`)
  return id
}

export type SpecialKind = 'socket' | 'block' | 'char' | 'fifo' | 'unknown'

/** The enum of Special.type, in order. */
const SPECIAL_KINDS: readonly SpecialKind[] = ['socket', 'block', 'char', 'fifo', 'unknown']
/** What stands in Special.data of a fifo and a socket. */
const NO_NUMBERS = '(nothing)'

/** The payload of a special inode, with the true type, which the reference never writes. */
export function encodeSpecial(
  kind: SpecialKind,
  major: number,
  minor: number,
): Extract<InodeContent, { kind: 'special' }> {
  const isDevice = kind === 'block' || kind === 'char' || (kind === 'unknown' && (major !== 0 || minor !== 0))
  const data = fromUtf8(isDevice ? `${major},${minor}` : NO_NUMBERS)
  return { kind: 'special', type: SPECIAL_KINDS.indexOf(kind), data }
}

/** `S_IFMT` of inode(7), for `typeBits`. */
const KIND_OF_TYPE_BITS: Readonly<Record<number, SpecialKind>> = {
  0o140000: 'socket',
  0o060000: 'block',
  0o020000: 'char',
  0o010000: 'fifo',
}

/**
 * What a special inode is. The reference writes type 0 (socket) for every one, so type 0 decides nothing when the
 * data has device numbers: then the type bits of the ACL tell, where an old writer left them, and otherwise
 * block and char cannot be told apart: `unknown`, with its numbers. A fifo of the reference reads as a socket.
 * Numbers that are none, or over 32 bits, read as 0.
 */
export function decodeSpecial(
  { type, data }: { readonly type: number; readonly data: Uint8Array },
  typeBits = 0,
): { readonly special: SpecialKind; readonly major: number; readonly minor: number } {
  const numbers = deviceNumbers(data)
  const named = SPECIAL_KINDS[type] ?? 'unknown'
  if (type !== 0) return { special: named, ...(numbers ?? NO_DEVICE) }
  const guess = numbers === undefined ? named : 'unknown'
  return { special: KIND_OF_TYPE_BITS[typeBits] ?? guess, ...(numbers ?? NO_DEVICE) }
}

const NO_DEVICE = { major: 0, minor: 0 }

function deviceNumbers(data: Uint8Array): { major: number; minor: number } | undefined {
  const match = /^(\d{1,10}),(\d{1,10})$/.exec(toLatin1(data.subarray(0, 24)))
  const major = Number(match?.[1] ?? Infinity)
  const minor = Number(match?.[2] ?? Infinity)
  return major <= MAX_ID && minor <= MAX_ID ? { major, minor } : undefined
}
