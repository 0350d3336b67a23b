import type { Config, Limits } from './config.ts'
import type { DataFolder } from './data-folder.ts'
import { Ingest } from './flist/ingest.ts'
import { FLIST_LIMITS } from './flist/limits.ts'
import { FlistInspector } from './flist/inspector.ts'
import { FlistMerger } from './flist/merger.ts'
import { createChunkCodec } from './format/chunk-codec.ts'
import type { Database } from './store/database.ts'
import type { Parts } from './util/lifecycle.ts'

/** The threads that read and write flists. */
export async function openWorkers(
  parts: Parts,
  { limits }: Config,
  { folder, database: { rows, chunks } }: { readonly folder: DataFolder; readonly database: Database },
) {
  const temporaryDirectory = folder.temporary
  const flists = {
    temporaryDirectory,
    limits: { ...FLIST_LIMITS, maxFileBytes: limits.maxFlistBytes },
  }
  const inspector = await parts.open(
    'inspector',
    () => new FlistInspector(flists),
    (opened) => opened.stop(),
  )
  const merger = await parts.open(
    'merger',
    () => new FlistMerger(flists),
    (opened) => opened.stop(),
  )
  const ingest = await parts.open(
    'ingest',
    () => new Ingest({ chunks, known: chunks, rows }, ingestOptions(limits)),
    (opened) => opened.stop(),
  )
  await ingest.start()
  return { inspector, merger, ingest, codec: await createChunkCodec() }
}

function ingestOptions({
  uploads,
  maxUploadBytes,
  maxPlainBytes,
  maxRatio,
  maxEntries,
  maxDepth,
  spillEntries,
}: Limits) {
  const limits = {
    maxArchiveBytes: maxUploadBytes,
    maxPlainBytes,
    maxRatio,
    maxEntries,
    maxDepth,
    maxEntriesInMemory: spillEntries,
  }
  return { maxAtOnce: uploads, limits }
}
