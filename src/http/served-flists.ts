/** The bytes of flists as they go out: canonical, plus the address where a node finds the chunks (hub-departures, Backend). */
import { createHash } from 'node:crypto'
import type { FlistId } from '../store/flist-store.ts'
import { asBuffer, fromHex, toHex } from '../util/bytes.ts'
import { LruCache } from '../util/lru.ts'
import { share } from '../util/share.ts'
import type { SiteOptions } from './deps.ts'
import type { ChunkAddress } from '../flist/metadata.ts'
import type { FlistInspector } from '../flist/inspector.ts'
import type { FlistReader } from './flist-reader.ts'

export interface ServedDigest {
  readonly sizeBytes: number
  readonly md5: string
}

export interface ServedFlist extends ServedDigest {
  readonly bytes: Buffer
}

/** Sizes and sums remembered; each is about 200 bytes. */
const MAX_DIGESTS_BYTES = 20_000 * 200
const DIGEST_BYTES = 200

type BackendOptions = Pick<SiteOptions, 'publicChunks' | 'flistBackend' | 'cacheBytes'>

/** The address a flist goes out with in place of what it says, or `undefined` to send it as it is. */
export function servedBackend(
  { publicChunks, flistBackend }: Pick<SiteOptions, 'publicChunks' | 'flistBackend'>,
  hasBackend: boolean,
): ChunkAddress | undefined {
  if (flistBackend === 'keep' || (hasBackend && flistBackend !== 'local')) return undefined
  return publicChunks
}

/** Rendered once, kept while there is room; everybody who asks meanwhile shares one rendering. */
export class ServedFlists {
  readonly #flists: FlistReader
  readonly #inspector: FlistInspector
  readonly #options: BackendOptions
  readonly #rendered: LruCache<ServedFlist>
  readonly #digests = new LruCache<ServedDigest>(MAX_DIGESTS_BYTES)
  readonly #render: (id: string) => Promise<ServedFlist>

  constructor(flists: FlistReader, inspector: FlistInspector, options: BackendOptions) {
    this.#flists = flists
    this.#inspector = inspector
    this.#options = options
    this.#rendered = new LruCache(options.cacheBytes)
    this.#render = share((id) => this.#renderNow(id))
  }

  /** @throws as `FlistReader.read`. */
  async get(id: FlistId): Promise<ServedFlist> {
    this.#flists.refusePurged(id)
    const key = toHex(id)
    return this.#rendered.get(key) ?? (await this.#render(key))
  }

  /** Size and md5 of the served bytes, remembered longer than the bytes. */
  async digest(id: FlistId): Promise<ServedDigest> {
    this.#flists.refusePurged(id)
    return this.#digests.get(toHex(id)) ?? (await this.get(id))
  }

  async #renderNow(key: string): Promise<ServedFlist> {
    const canonical = await this.#flists.read(fromHex(key) ?? new Uint8Array())
    const bytes = asBuffer(await this.#withBackend(canonical))
    const served = {
      bytes,
      sizeBytes: bytes.length,
      md5: createHash('md5').update(bytes).digest('hex'),
    }
    this.#rendered.set(key, served, bytes.length)
    this.#digests.set(key, { sizeBytes: served.sizeBytes, md5: served.md5 }, DIGEST_BYTES)
    return served
  }

  async #withBackend(canonical: Uint8Array): Promise<Uint8Array> {
    if (servedBackend(this.#options, false) === undefined) return canonical
    const rows = await this.#inspector.metadata(canonical)
    const hasBackend = rows.some(([key]) => key === 'backend')
    const backend = servedBackend(this.#options, hasBackend)
    return backend === undefined ? canonical : await this.#inspector.render(canonical, { backend })
  }
}
