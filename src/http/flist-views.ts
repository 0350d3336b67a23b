/** What is in a flist, as the standard API tells it: dump (hub-api.md §4.4) and metadata (§4.7), cached by content. */
import { setImmediate as breathe } from 'node:timers/promises'
import type { FlistCounts } from '../flist/entry.ts'
import { CorruptError, MalformedError, NotFoundError } from '../errors.ts'
import type { FlistId, FlistStore } from '../store/flist-store.ts'
import { fromHex, fromUtf8, toHex } from '../util/bytes.ts'
import { LruCache } from '../util/lru.ts'
import { share } from '../util/share.ts'
import { bytesAnswer, type Answer } from './answer.ts'
import type { SiteOptions } from './deps.ts'
import type { Dump, DumpLine, FlistReader } from './flist-ports.ts'
import { pythonJson, pythonRedump, quote } from './python.ts'
import { backendRow } from './served-flists.ts'

/** Lines written before the other requests get a turn. */
const LINES_AT_ONCE = 5_000

/** The counters in the contract's order and spelling. */
export function countsView(counts: FlistCounts): object {
  const { regular, symlink, directory, special, failure, fullSize } = counts
  return { regular, symlink, directory, special, failure, fullsize: fullSize }
}

/** The text of a dump: built in slices, for a dump may have a million lines. */
export async function dumpJson({ content, counts }: Dump): Promise<string> {
  const slices: string[] = []
  for (let at = 0; at < content.length; at += LINES_AT_ONCE) {
    if (at > 0) await breathe()
    slices.push(
      content
        .slice(at, at + LINES_AT_ONCE)
        .map(lineJson)
        .join(', '),
    )
  }
  return `{"content": [${slices.join(', ')}], ${pythonJson(countsView(counts)).slice(1)}`
}

function lineJson({ size, path }: DumpLine): string {
  return `{"size": ${size}, "path": ${quote(path)}}`
}

export class FlistViews {
  readonly #flists: FlistStore
  readonly #reader: FlistReader
  readonly #options: Pick<SiteOptions, 'publicChunks' | 'flistBackend' | 'cacheBytes'>
  readonly #answers: LruCache<Answer>
  readonly #build: (key: string) => Promise<Answer>

  constructor(
    flists: FlistStore,
    reader: FlistReader,
    options: Pick<SiteOptions, 'publicChunks' | 'flistBackend' | 'cacheBytes'>,
  ) {
    this.#flists = flists
    this.#reader = reader
    this.#options = options
    this.#answers = new LruCache(options.cacheBytes)
    this.#build = share((key) => this.#buildNow(key))
  }

  dump(id: FlistId): Promise<Answer> {
    return this.#answer('dump ' + toHex(id))
  }

  metadata(id: FlistId): Promise<Answer> {
    return this.#answer('meta ' + toHex(id))
  }

  /** The canonical bytes. @throws {NotFoundError} when this node does not hold them. */
  async read(id: FlistId): Promise<Uint8Array> {
    const bytes = await this.#flists.read(id)
    if (bytes === undefined) throw new NotFoundError('source not found')
    return bytes
  }

  async #answer(key: string): Promise<Answer> {
    return this.#answers.get(key) ?? (await this.#build(key))
  }

  async #buildNow(key: string): Promise<Answer> {
    const id = key.slice(5)
    const bytes = await this.read(fromHex(id) ?? new Uint8Array())
    try {
      const text = key.startsWith('dump')
        ? await dumpJson(await this.#reader.dump(bytes))
        : this.#metadataJson(await this.#reader.metadata(bytes))
      const answer = bytesAnswer(200, 'application/json', fromUtf8(text + '\n'))
      this.#answers.set(key, answer, text.length)
      return answer
    } catch (cause) {
      if (!(cause instanceof MalformedError)) throw cause
      throw new CorruptError(id, `this flist does not read: ${cause.message}`, { cause }) // ours: no 400
    }
  }

  /** The rows of the served flist; without any backend the public one shows as forced, as the original does. */
  #metadataJson(rows: ReadonlyMap<string, string>): string {
    const { publicChunks, flistBackend } = this.#options
    const backend = backendRow(publicChunks, flistBackend, rows.get('backend'))
    const served = backend === undefined ? rows : new Map([...rows, ['backend', backend]])
    const members = [...served]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${quote(key)}: ${pythonRedump(value) ?? quote(value)}`)
    if (!served.has('backend') && publicChunks !== undefined) {
      const { host, port, namespace } = publicChunks
      members.push(`"backend-forced": ${pythonJson({ host, port, namespace })}`)
    }
    return `{${members.join(', ')}}`
  }
}
