/**
 * Commands that read and write chunks. Replies and their order of checks are 0-db's (flist-v1.md §11,
 * `zdbd/commands_*.c`); that a key must be the hash of its value is ours.
 */
import { CorruptError, InvalidInputError } from '../errors.ts'
import { blake2b128, blake2b256 } from '../format/blake2b.ts'
import { CHUNK_ID_BYTES, FL_CHUNK_ID_BYTES } from '../format/chunk.ts'
import { encodeArrayHeader, encodeBulk, encodeError, encodeInteger, NIL } from '../format/resp.ts'
import { receiveChunk } from '../store/receive.ts'
import { EMPTY, equalBytes } from '../util/bytes.ts'
import { isAuthenticated, type Command, type Port, type Session } from './port.ts'
import { Bulk, type Replies, type Reply } from './reply.ts'

/** 0-db keeps the length of a key in one byte. */
const MAX_KEY_BYTES = 255
/** Entries of one SCAN reply. 0-db stops after 2 ms instead. */
const SCAN_PAGE = 1000

export const UNEXPECTED_ARGUMENTS = encodeError('Unexpected arguments')
export const INVALID_ARGUMENT = encodeError('Invalid argument')
const INVALID_KEY = encodeError('Invalid key')
const READ_ONLY = encodeError('Namespace is in read-only mode')
const NO_MORE_DATA = encodeError('No more data')

/** Answers `read` for the one key of the request, or 0-db's complaint about the request. */
function withKey(read: (id: Uint8Array, session: Session, port: Port) => Reply | Promise<Reply>): Command {
  return (args, session, port) => {
    if (args.length !== 2) return UNEXPECTED_ARGUMENTS
    if (args.some((arg) => arg.length === 0)) return INVALID_ARGUMENT
    const key = args[1] ?? EMPTY
    return key.length > MAX_KEY_BYTES ? INVALID_KEY : read(key, session, port)
  }
}

function isChunkId(key: Uint8Array): boolean {
  return key.length === CHUNK_ID_BYTES || key.length === FL_CHUNK_ID_BYTES
}

function lookUp(id: Uint8Array, session: Session, port: Port): Reply | Promise<Reply> {
  // An uploader takes the answer for a promise that the chunk is kept, so it comes from the store and counts as a use.
  const isUploader = isAuthenticated(session)
  const source = isUploader ? port.chunks : port.hot
  const bytes = isChunkId(id) ? source.read(id) : undefined
  if (bytes !== undefined) {
    if (isUploader) port.uses.note(id)
    return new Bulk(bytes)
  }
  if (port.remote !== undefined && !isUploader && isChunkId(id))
    return fetchMissing(Uint8Array.from(id), session, port)
  port.counters.misses++
  return NIL
}

async function fetchMissing(id: Uint8Array, session: Session, port: Port): Promise<Reply> {
  const bytes = await port.remote?.get(id, { signal: session.signal })
  if (bytes !== undefined) return new Bulk(bytes)
  port.counters.misses++
  return NIL
}

export const get = withKey(lookUp)

export const mget: Command = (args, session, port) => {
  if (args.length < 2) return encodeError('Invalid arguments')
  const keys = args.slice(1)
  if (keys.some((key) => key.length > MAX_KEY_BYTES)) return INVALID_KEY
  return lookUpEach(keys, session, port)
}

function* lookUpEach(keys: readonly Uint8Array[], session: Session, port: Port): Replies {
  yield encodeArrayHeader(keys.length)
  for (const key of keys) yield lookUpLate(key, session, port)
}

/** The array is announced already: a failure is the reply of its key, not the end of the array. */
function lookUpLate(key: Uint8Array, session: Session, port: Port): Reply | Promise<Reply> {
  try {
    return lookUp(key, session, port)
  } catch (error) {
    return Promise.reject(error as Error)
  }
}

export const exists = withKey((id, session, port) => {
  const isHeld = isChunkId(id) && port.chunks.info(id) !== undefined
  if (isHeld && isAuthenticated(session)) port.uses.note(id)
  return encodeInteger(isHeld ? 1 : 0)
})

/** Reads the chunk and hashes it: 1 sound, 0 damaged, nil absent. */
export const check = withKey((id, session, port) => {
  try {
    const bytes = isChunkId(id) ? port.chunks.read(id) : undefined
    if (bytes === undefined) return NIL
    if (isAuthenticated(session)) port.uses.note(id)
    const actual = id.length === CHUNK_ID_BYTES ? blake2b128(bytes) : blake2b256(bytes)
    return encodeInteger(equalBytes(actual, id) ? 1 : 0)
  } catch (error) {
    if (error instanceof CorruptError) return encodeInteger(0)
    throw error
  }
})

export const length = withKey((id, _session, port) => {
  const info = isChunkId(id) ? port.chunks.info(id) : undefined
  return info === undefined ? NIL : encodeInteger(info.lengthBytes)
})

/** 0-db answers the time of the write; ours is that of the last use, which only goes forward. */
export const keytime = withKey((id, _session, port) => {
  const info = isChunkId(id) ? port.chunks.info(id) : undefined
  return info === undefined ? NIL : encodeInteger(info.usedAtS)
})

/** `SET key value`; a timestamp as third argument is for 0-db's replication, and not kept here. */
export const set: Command = (args, session, port) => {
  if (args.length === 4 && !isAuthenticated(session)) return encodeError('Permission denied')
  if (args.length !== 3 && args.length !== 4) return UNEXPECTED_ARGUMENTS
  const [, key = EMPTY, value = EMPTY] = args
  if (key.length > MAX_KEY_BYTES) return encodeError('Key too large')
  if (port.isReadonly || !isAuthenticated(session)) return READ_ONLY
  if (key.length === 0) return encodeError('Invalid argument, key needed')
  if (!isChunkId(key)) return encodeError('Invalid key, the 16 or 32 bytes of BLAKE2b of the value expected')
  return keep(key, value, port)
}

/** The key when the value was new, nil when it was there: zflist takes `+OK` for an error. */
async function keep(key: Uint8Array, value: Uint8Array, port: Port): Promise<Reply> {
  try {
    const isNew = await receiveChunk(port.chunks, key, value)
    return isNew ? encodeBulk(key) : NIL
  } catch (error) {
    if (error instanceof InvalidInputError) return encodeError(`Invalid key, ${error.message}`)
    throw error
  }
}

/** The cursor is the last id of the page; ids that come while a client scans may be missed, none comes twice. */
export const scan: Command = (args, session, port) => {
  const after = args[1]
  if (after !== undefined && !isChunkId(after)) return encodeError('Invalid key format')
  return scanPage(after === undefined ? undefined : Uint8Array.from(after), session, port)
}

async function scanPage(after: Uint8Array | undefined, session: Session, port: Port): Promise<Reply> {
  const entries: Uint8Array[] = []
  let last: Uint8Array | undefined
  for await (const [id, info] of port.chunks.entries(after, { signal: session.signal })) {
    entries.push(encodeArrayHeader(3), encodeBulk(id), encodeInteger(info.lengthBytes))
    entries.push(encodeInteger(info.usedAtS))
    last = id
    if (entries.length >= 4 * SCAN_PAGE) break
  }
  if (last === undefined) return NO_MORE_DATA
  return Buffer.concat([
    encodeArrayHeader(2),
    encodeBulk(last),
    encodeArrayHeader(entries.length / 4),
    ...entries,
  ])
}
