import type { ArchiveEntry } from './archive-entry.ts'
import { compareEntries } from './archive-entry.ts'
import { fromUtf8, toUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'

/** Where sorted runs of entries are put that memory has no room for. Pages of a run are numbered from 0. */
export interface RunStore {
  write(run: number, pages: readonly Uint8Array[]): Promise<void>
  read(run: number, page: number): Promise<Uint8Array>
}

/** Characters of a page; with one entry more, and escapes, still far below the row store's 1 MiB. */
const PAGE_CHARACTERS = 128 * KIB
const BATCH = 1024

/** Entries in any number, to be read in order: in memory up to a limit, beyond that in sorted runs elsewhere. */
export class EntrySpool {
  readonly #maxInMemory: number
  readonly #runs: RunStore
  readonly #pagesOfRuns: number[] = []
  #entries: ArchiveEntry[] = []
  #isSorted = true

  constructor(maxInMemory: number, runs: RunStore) {
    this.#maxInMemory = maxInMemory
    this.#runs = runs
  }

  /** Resolves when there is room for more; `undefined` when there is already. */
  add(entry: ArchiveEntry): Promise<void> | undefined {
    this.#entries.push(entry)
    this.#isSorted = false
    return this.#entries.length > this.#maxInMemory ? this.#spill() : undefined
  }

  /** All entries in order, in batches; again from the start with each call. */
  async *sorted(): AsyncGenerator<readonly ArchiveEntry[]> {
    this.#sort()
    if (this.#pagesOfRuns.length === 0) return yield this.#entries
    const runs = this.#pagesOfRuns.map((pages, run) => this.#readRun(run, pages))
    yield* merge([...runs, only(this.#entries)])
  }

  #sort(): void {
    if (!this.#isSorted) this.#entries = inOrder(this.#entries)
    this.#isSorted = true
  }

  async #spill(): Promise<void> {
    this.#sort()
    const pages = encodePages(this.#entries)
    this.#entries = []
    this.#pagesOfRuns.push(pages.length)
    await this.#runs.write(this.#pagesOfRuns.length - 1, pages)
  }

  async *#readRun(run: number, pages: number): AsyncGenerator<readonly ArchiveEntry[]> {
    for (let page = 0; page < pages; page++) yield decodePage(await this.#runs.read(run, page))
  }
}

/** By `compareEntries`; folder by folder, whose paths are most of what there is to compare. */
function inOrder(entries: readonly ArchiveEntry[]): ArchiveEntry[] {
  const folders = new Map<string, ArchiveEntry[]>()
  for (const entry of entries) {
    const folder = folders.get(entry.parent)
    if (folder === undefined) folders.set(entry.parent, [entry])
    else folder.push(entry)
  }
  return [...folders.keys()].sort().flatMap((parent) => (folders.get(parent) ?? []).sort(compareEntries))
}

async function* only<T>(value: T): AsyncGenerator<T> {
  yield value
}

type Batches = AsyncGenerator<readonly ArchiveEntry[]>

/** One order of several; few, so the least is looked for one by one. */
async function* merge(runs: readonly Batches[]): Batches {
  const heads: Head[] = []
  for (const run of runs) {
    const head = new Head(run)
    if (await head.load()) heads.push(head)
  }
  let batch: ArchiveEntry[] = []
  while (heads.length > 0) {
    const least = heads.reduce((a, b) => (compareEntries(b.entry, a.entry) < 0 ? b : a))
    batch.push(least.entry)
    if (batch.length === BATCH) {
      yield batch
      batch = []
    }
    if (!least.step() && !(await least.load())) heads.splice(heads.indexOf(least), 1)
  }
  yield batch
}

/** The first entry of a run that has not been taken. */
class Head {
  readonly #run: Batches
  #batch: readonly ArchiveEntry[] = []
  #at = 0

  constructor(run: Batches) {
    this.#run = run
  }

  get entry(): ArchiveEntry {
    const entry = this.#batch[this.#at]
    if (entry === undefined) throw new Error('the run has ended')
    return entry
  }

  /** False at the end of the batch. */
  step(): boolean {
    return ++this.#at < this.#batch.length
  }

  /** False at the end of the run. */
  async load(): Promise<boolean> {
    this.#at = 0
    do {
      const next = await this.#run.next()
      if (next.done === true) return false
      this.#batch = next.value
    } while (this.#batch.length === 0)
    return true
  }
}

// A page is a JSON list; it lives no longer than the upload, so it has no version.
function encodePages(entries: readonly ArchiveEntry[]): Uint8Array[] {
  const pages: Uint8Array[] = []
  let texts: string[] = []
  let characters = 0
  const end = () => {
    if (texts.length > 0) pages.push(fromUtf8(`[${texts.join(',')}]`))
    texts = []
    characters = 0
  }
  for (const entry of entries) {
    const text = JSON.stringify(entry)
    texts.push(text)
    characters += text.length
    if (characters > PAGE_CHARACTERS) end()
  }
  end()
  return pages
}

function decodePage(page: Uint8Array): ArchiveEntry[] {
  return JSON.parse(toUtf8(page)) as ArchiveEntry[]
}
