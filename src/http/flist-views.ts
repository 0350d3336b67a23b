/** What is in a flist, as the standard API tells it: dump (hub-api.md §4.4) and metadata (§4.7), cached by content. */
import type { FlistCounts } from '../flist/entry.ts'
import { CorruptError, MalformedError } from '../errors.ts'
import type { FlistId } from '../store/flist-store.ts'
import { EMPTY, fromHex, fromUtf8, toHex } from '../util/bytes.ts'
import { LruCache } from '../util/lru.ts'
import { share } from '../util/share.ts'
import { bytesAnswer, type Answer } from './answer.ts'
import type { SiteOptions } from './deps.ts'
import { formatBackend } from '../flist/metadata.ts'
import type { FlistInspector } from '../flist/inspector.ts'
import type { FlistReader } from './flist-reader.ts'
import { pythonJson, pythonRedump, quote } from './python.ts'
import { servedBackend } from './served-flists.ts'

/** The counters in the contract's order and spelling. */
export function countsView(counts: FlistCounts): object {
  const { regular, symlink, directory, special, failure, fullSize } = counts
  return { regular, symlink, directory, special, failure, fullsize: fullSize }
}

export class FlistViews {
  readonly #flists: FlistReader
  readonly #inspector: FlistInspector
  readonly #options: Pick<SiteOptions, 'publicChunks' | 'flistBackend' | 'cacheBytes'>
  readonly #answers: LruCache<Answer>
  readonly #build: (key: string) => Promise<Answer>

  constructor(
    flists: FlistReader,
    inspector: FlistInspector,
    options: Pick<SiteOptions, 'publicChunks' | 'flistBackend' | 'cacheBytes'>,
  ) {
    this.#flists = flists
    this.#inspector = inspector
    this.#options = options
    this.#answers = new LruCache(options.cacheBytes)
    this.#build = share((key) => this.#buildNow(key))
  }

  dump(id: FlistId): Promise<Answer> {
    return this.#answer('dump', id)
  }

  metadata(id: FlistId): Promise<Answer> {
    return this.#answer('meta', id)
  }

  async #answer(form: 'dump' | 'meta', id: FlistId): Promise<Answer> {
    this.#flists.refusePurged(id)
    const key = `${form} ${toHex(id)}`
    return this.#answers.get(key) ?? (await this.#build(key))
  }

  async #buildNow(key: string): Promise<Answer> {
    const id = key.slice(5)
    const bytes = await this.#flists.read(fromHex(id) ?? new Uint8Array())
    try {
      const body = key.startsWith('dump') ? await this.#dumpJson(bytes) : await this.#metadataJson(bytes)
      const answer = bytesAnswer(200, 'application/json', Buffer.concat([body, NEWLINE]))
      this.#answers.set(key, answer, body.length)
      return answer
    } catch (cause) {
      if (!(cause instanceof MalformedError)) throw cause
      throw new CorruptError(id, `this flist does not read: ${cause.message}`, { cause }) // ours: no 400
    }
  }

  async #dumpJson(bytes: Uint8Array): Promise<Uint8Array> {
    const { dump } = await this.#inspector.survey(bytes, { dump: true })
    return dump ?? EMPTY
  }

  /** The rows of the served flist; without any backend the public one shows as forced, as the original does. */
  async #metadataJson(bytes: Uint8Array): Promise<Uint8Array> {
    const rows = new Map(await this.#inspector.metadata(bytes))
    const backend = servedBackend(this.#options, rows.has('backend'))
    if (backend !== undefined) rows.set('backend', formatBackend(backend))
    const members = [...rows]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${quote(key)}: ${pythonRedump(value) ?? quote(value)}`)
    const { publicChunks } = this.#options
    if (!rows.has('backend') && publicChunks !== undefined) {
      const { host, port, namespace } = publicChunks
      members.push(`"backend-forced": ${pythonJson({ host, port, namespace })}`)
    }
    return fromUtf8(`{${members.join(', ')}}`)
  }
}

const NEWLINE = fromUtf8('\n')
