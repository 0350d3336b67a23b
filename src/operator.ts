/** The jobs of the node's owner: asked for by the command line, and done by themselves in the background. */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from './config.ts'
import type { DataFolder } from './data-folder.ts'
import { InvalidInputError } from './errors.ts'
import type { ChunkCodec } from './format/chunk-codec.ts'
import type { LongOptions, Operator } from './http/deps.ts'
import type { SignedRepositories } from './repo/repositories.ts'
import { backupDatabase } from './store/backup.ts'
import { collect, type Collected, type CollectorDeps } from './store/collector.ts'
import type { Database } from './store/database.ts'
import { checkStore, type Problem } from './store/fsck.ts'
import { JobTimes, type JobName } from './store/job-times.ts'
import type { RowFlistStore } from './store/row-flist-store.ts'
import { scrub, type Scrubbed } from './store/scrubber.ts'
import { every, type Task } from './util/every.ts'
import { makeFolder } from './util/make-folder.ts'
import type { Logger } from './util/logger.ts'
import { Mutex } from './util/mutex.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from './util/units.ts'

/** A job that is due waits until a node that has just started has answered those who waited for it. */
const SETTLE_MS = MINUTE_MS

/** Problems that one report lists; a store with more is not repaired by reading on. */
const MAX_PROBLEMS = 10_000

/** Files of the keys folder that a backup leaves out: without its boot marker a copy takes a new incarnation. */
const NOT_COPIED = new Set(['boot'])

export interface NodeJobsDeps {
  readonly folder: DataFolder
  readonly database: Database
  readonly flists: RowFlistStore
  readonly repositories: SignedRepositories
  readonly isPurged: (flist: Uint8Array) => boolean
  readonly collector: Omit<CollectorDeps, 'liveFlists'>
  readonly codec: Pick<ChunkCodec, 'decode'>
  readonly log: Logger
}

type Retention = Pick<Config, 'gcEveryMs' | 'gcGraceMs' | 'keepVersions' | 'keepForMs' | 'scrubPercent'>

/** One job at a time: each reads or frees the whole store. */
export class NodeJobs implements Operator {
  readonly #deps: NodeJobsDeps
  readonly #settings: Retention
  readonly #turn = new Mutex()
  #tasks: Task[] = []

  constructor(deps: NodeJobsDeps, settings: Retention) {
    this.#deps = deps
    this.#settings = settings
  }

  /** Begins collecting and scrubbing in the background. */
  start(): void {
    const { gcEveryMs, scrubPercent } = this.#settings
    if (gcEveryMs > 0)
      this.#tasks.push(this.#background('collect', gcEveryMs, (signal) => this.collect({}, { signal })))
    if (scrubPercent > 0)
      this.#tasks.push(this.#background('scrub', HOUR_MS, (signal) => this.#scrubHour(signal)))
  }

  async stop(): Promise<void> {
    await Promise.all(this.#tasks.splice(0).map((task) => task.stop()))
  }

  fsck({ signal, onProgress }: LongOptions): Promise<object> {
    return this.#turn.run(async () => {
      const problems: Problem[] = []
      const report = (problem: Problem) => {
        if (problems.length < MAX_PROBLEMS) problems.push(problem)
      }
      const { database, flists, codec } = this.#deps
      const decode = (stored: Uint8Array, key: Uint8Array) => codec.decode(stored, key)
      const tell = (done: number, total: number) => onProgress?.({ done, total, unit: 'chunks' })
      const checked = await checkStore({ ...database, flists, decode }, report, { signal, onProgress: tell })
      const ops = await this.#checkOperations(report, signal)
      return { ok: problems.length === 0, checked: { ...checked, ops }, problems }
    })
  }

  scrub(options: LongOptions): Promise<Scrubbed> {
    const chunks = Math.max(1, this.#deps.database.chunks.totals().chunks)
    return this.#scrub(chunks, options)
  }

  collect(
    { graceS, keepVersions, dryRun = false }: Parameters<Operator['collect']>[0],
    { signal, onProgress }: LongOptions,
  ): Promise<Collected> {
    const { gcGraceMs, keepForMs, ...settings } = this.#settings
    // Asked for in so many words, old versions go at once: only the count keeps them.
    const retention = {
      keepVersions: keepVersions ?? settings.keepVersions,
      keepForMs: keepVersions === undefined ? keepForMs : 0,
    }
    const liveFlists = () => this.#deps.repositories.liveFlists(retention, { signal })
    return this.#turn.run(() =>
      collect(
        { ...this.#deps.collector, liveFlists },
        {
          graceS: graceS ?? gcGraceMs / SECOND_MS,
          dryRun,
          signal,
          onProgress: (done, total) => onProgress?.({ done, total, unit: 'chunks' }),
        },
      ),
    )
  }

  /** Databases, keys and token; the boot marker stays, so that a restored node takes a new incarnation. */
  backup(directory: string, { signal, onProgress }: LongOptions): Promise<object> {
    return this.#turn.run(async () => {
      const { folder, database } = this.#deps
      if (directory === folder.root || directory.startsWith(`${folder.root}/`)) {
        throw new InvalidInputError('a backup cannot lie in the data folder itself')
      }
      const total = database.chunks.totals().bytes
      const tell = (done: number) => onProgress?.({ done, total: Math.max(done, total), unit: 'bytes' })
      const { bytes } = await backupDatabase(database, directory, { signal, onProgress: tell })
      await makeFolder(join(directory, 'keys'))
      await cp(folder.keys, join(directory, 'keys'), {
        recursive: true,
        filter: (source) => !NOT_COPIED.has(source.slice(folder.keys.length + 1)),
      })
      await cp(folder.tokenFile, join(directory, 'admin.token'), { force: true })
      return { directory, bytes }
    })
  }

  async #checkOperations(
    report: (problem: Problem) => void,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    let operations = 0
    const { repositories, flists, isPurged } = this.#deps
    const holds = (id: Uint8Array) => flists.numberOf(id) !== undefined || isPurged(id)
    for await (const problem of repositories.checkOperations({
      holds,
      signal,
      onOperation: () => void operations++,
    })) {
      report(problem)
    }
    return operations
  }

  #scrub(chunks: number, { signal, onProgress }: LongOptions): Promise<Scrubbed> {
    const { rows, chunks: store } = this.#deps.database
    const tell = (done: number, total: number) => onProgress?.({ done, total, unit: 'chunks' })
    return this.#turn.run(() => scrub({ rows, chunks: store }, { chunks, signal, onProgress: tell }))
  }

  /** An hour's share of the daily percentage. */
  async #scrubHour(signal: AbortSignal): Promise<void> {
    const { chunks } = this.#deps.database.chunks.totals()
    const share = Math.ceil((chunks * this.#settings.scrubPercent) / 100 / (DAY_MS / HOUR_MS))
    if (share === 0) return
    const { problems } = await this.#scrub(share, { signal })
    for (const { id, detail } of problems) this.#deps.log.error('a chunk is damaged', { id, detail })
  }

  /** Counts its period from the last time that it was done, also by an earlier run of this node. */
  #background(name: JobName, periodMs: number, work: (signal: AbortSignal) => Promise<unknown>): Task {
    const { log, database, collector } = this.#deps
    const times = new JobTimes(database.rows, collector.clock)
    times.begin(name).catch((error: unknown) => log.error(`cannot note the job ${name}`, {}, error))
    return every(
      periodMs,
      async (signal) => {
        await work(signal)
        await times.markDone(name)
      },
      (error) => log.error(`the background job ${name} failed`, {}, error),
      Math.max(times.dueInMs(name, periodMs), SETTLE_MS),
    )
  }
}
