import { parentPort, workerData } from 'node:worker_threads'
import { workInBackground } from '../util/thread-priority.ts'
import { CorruptError, DiskFullError, HubError, MalformedError } from '../errors.ts'
import { createChunkCodec } from '../format/chunk-codec.ts'
import type { FlistEntry } from './entry.ts'
import { packFlist } from './container.ts'
import { encodeEntries } from './entry-codec.ts'
import { WINDOW_BYTES } from './inspector-protocol.ts'
import type { Answers, ChunkToVerify, FromThread, Question, ThreadData } from './inspector-protocol.ts'
import { FlistMerge } from './merge.ts'
import { FlistReader } from './reader.ts'
import { surveyFlist } from './survey.ts'
import { packError } from './worker-errors.ts'

/** The thread of a `FlistInspector`: the only place where flists of strangers are read. */
const port = parentPort
if (port === null) throw new Error('this file runs as a worker thread')
workInBackground()
const { temporaryDirectory, limits } = workerData as ThreadData
const codec = await createChunkCodec()
const merging = new FlistMerge({ temporaryDirectory, limits })
const BATCH_ENTRIES = 1_000

port.on('message', answer)

function answer(question: Question): void {
  try {
    const result = work(question)
    send({ answer: result }, transferable(result))
  } catch (error) {
    if (error instanceof HubError) send({ failure: packError(error), isBroken: false })
    else send({ failure: packError(unexpected(question, error)), isBroken: true })
  }
}

/** A stranger's bytes that break SQLite or exhaust us are malformed; a disk or a part of ours that fails is not. */
function unexpected(question: Question, error: unknown): unknown {
  if (question.kind === 'verify' || !(error instanceof Error)) return error
  if ('code' in error && error.code === 'ENOSPC') {
    return new DiskFullError('no room to look into a flist', { cause: error })
  }
  if ('errno' in error) return error
  return new MalformedError('flist', `not a flist: reading it failed: ${error.message}`, { cause: error })
}

function work(question: Question): Answers[Question['kind']] {
  if (question.kind === 'verify') return verify(question.chunks)
  if (question.kind === 'merge-source') return merging.add(question.name, question.bytes)
  if (question.kind === 'merge') return merging.run((batch) => send({ batch }, [batch.buffer]))
  return withReader(question.bytes, (reader): Answers[Question['kind']] => {
    switch (question.kind) {
      case 'survey':
        return survey(reader, question.options)
      case 'metadata':
        return reader.metadata()
      case 'find': {
        const found = reader.find(question.path)
        return found === undefined ? undefined : encodeEntries([found])
      }
      case 'entries':
        return sendEntries(reader, question.from)
      case 'render':
        return render(reader, question.backend)
    }
  })
}

function withReader<T>(bytes: Uint8Array, use: (reader: FlistReader) => T): T {
  const reader = new FlistReader(bytes, { temporaryDirectory, limits })
  try {
    return use(reader)
  } finally {
    reader.close()
  }
}

function survey(reader: FlistReader, options: Parameters<typeof surveyFlist>[1]): Answers['survey'] {
  const metadata = reader.metadata()
  const found = surveyFlist(reader, options)
  const { problems } = reader
  return { ...found, metadata, problems: problems.list(), brokenFiles: problems.count('block-count') }
}

/** Sends entries from the place asked for, and answers where it stopped if that is not the end. */
function sendEntries(reader: FlistReader, from: number): number | undefined {
  let batch: FlistEntry[] = []
  let at = 0
  let bytes = 0
  for (const entry of reader.walk()) {
    if (at++ < from) continue
    if (batch.push(entry) < BATCH_ENTRIES) continue
    bytes += sendBatch(batch)
    batch = []
    if (bytes >= WINDOW_BYTES) return at
  }
  sendBatch(batch)
  return undefined
}

function sendBatch(entries: readonly FlistEntry[]): number {
  const batch = encodeEntries(entries)
  const { length } = batch
  send({ batch }, [batch.buffer])
  return length
}

function render(reader: FlistReader, backend: string | null): Uint8Array {
  return reader.rewrite(new Map([['backend', backend]]), packFlist)
}

function verify(chunks: readonly ChunkToVerify[]): Answers['verify'] {
  const bad: Array<{ index: number; reason: string }> = []
  for (const [index, { stored, key, plainBytes }] of chunks.entries()) {
    const reason = chunkProblem(stored, key, plainBytes)
    if (reason !== undefined) bad.push({ index, reason })
  }
  return bad
}

function chunkProblem(stored: Uint8Array, key: Uint8Array, plainBytes: number): string | undefined {
  try {
    const plain = codec.decode(stored, key)
    return plain.length === plainBytes ? undefined : `it has ${plain.length} bytes where ${plainBytes} belong`
  } catch (error) {
    if (error instanceof MalformedError || error instanceof CorruptError) return error.message
    throw error
  }
}

function send(message: FromThread, transfer: readonly ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer)
}

/** What of an answer can move instead of being copied: arrays that own their memory. */
function transferable(result: Answers[Question['kind']]): ArrayBuffer[] {
  if (typeof result !== 'object' || Array.isArray(result)) return []
  const arrays = result instanceof Uint8Array ? [result] : Object.values(result)
  return arrays.flatMap((value) =>
    value instanceof Uint8Array &&
    value.buffer instanceof ArrayBuffer &&
    value.buffer.byteLength === value.length
      ? [value.buffer]
      : [],
  )
}
