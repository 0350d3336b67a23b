import { BLOCK_BYTES, CHUNK_ID_BYTES } from '../format/chunk.ts'
import { asBuffer, toLatin1, toUtf8 } from '../util/bytes.ts'
import type { BlockRef, FlistCounts, FlistEntry } from './entry.ts'
import type { FlistReader } from './reader.ts'

export interface SurveyOptions {
  /** Also the text of the dump. */
  readonly dump?: boolean
  /** Also what each chunk must decode to. */
  readonly blocks?: boolean
}

/** One walk through a flist, and everything that is told about the whole of it. */
export interface Survey {
  readonly counts: FlistCounts
  /** The ids of its chunks, 16 bytes each, each once, in order of first use. */
  readonly chunkIds: Uint8Array<ArrayBuffer>
  /** JSON of hub-api.md §4.4, style A, without a newline; ASCII. */
  readonly dump: Uint8Array<ArrayBuffer> | undefined
  /** `BLOCK_RECORD_BYTES` for each chunk and use that differs: id, key, plain length as u32 BE. */
  readonly blocks: Uint8Array<ArrayBuffer> | undefined
}

export const BLOCK_RECORD_BYTES = 2 * CHUNK_ID_BYTES + 4

/** @throws {MalformedError | LimitError} */
export function surveyFlist(reader: FlistReader, options: SurveyOptions = {}): Survey {
  const counts = { regular: 0, symlink: 0, directory: 0, special: 0, failure: 0, fullSize: 0 }
  const ids = new Set<string>()
  const records = new Set<string>()
  const dump = options.dump === true ? new DumpText() : undefined
  for (const entry of reader.walk()) {
    if (entry.path.length === 0) continue
    dump?.add(entry)
    counts[COUNTER[entry.content.kind]]++
    if (entry.content.kind !== 'file') continue
    counts.fullSize += entry.sizeBytes
    const { blocks } = entry.content
    for (const { id } of blocks) ids.add(toLatin1(id))
    if (options.blocks === true)
      for (const [at, ref] of blocks.entries()) records.add(record(ref, at, entry.sizeBytes))
  }
  return {
    counts,
    chunkIds: joined(ids),
    blocks: options.blocks === true ? joined(records) : undefined,
    dump: dump?.finish(counts),
  }
}

const COUNTER = { file: 'regular', link: 'symlink', directory: 'directory', special: 'special' } as const

function record({ id, key }: BlockRef, index: number, sizeBytes: number): string {
  const plainBytes = Math.max(0, Math.min(BLOCK_BYTES, sizeBytes - index * BLOCK_BYTES))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(plainBytes)
  return toLatin1(id) + toLatin1(key) + toLatin1(length)
}

/** Strings of one length, as bytes. */
function joined(parts: ReadonlySet<string>): Uint8Array<ArrayBuffer> {
  const [first = ''] = parts
  const bytes = new Uint8Array(parts.size * first.length)
  const buffer = asBuffer(bytes)
  let at = 0
  for (const part of parts) at += buffer.write(part, at, 'latin1')
  return bytes
}

/** Lines put together before they become bytes: short strings are what costs memory. */
const LINES_AT_ONCE = 4_096

class DumpText {
  readonly #slices: Buffer[] = []
  #lines: string[] = []
  #isFirst = true

  add({ path, sizeBytes }: FlistEntry): void {
    this.#lines.push(
      `${this.#isFirst ? '' : ', '}{"size": ${sizeBytes}, "path": ${asciiJson(`/${toUtf8(path)}`)}}`,
    )
    this.#isFirst = false
    if (this.#lines.length >= LINES_AT_ONCE) this.#flush()
  }

  finish({ regular, symlink, directory, special, failure, fullSize }: FlistCounts): Uint8Array<ArrayBuffer> {
    this.#lines.push(
      `], "regular": ${regular}, "symlink": ${symlink}, "directory": ${directory}, ` +
        `"special": ${special}, "failure": ${failure}, "fullsize": ${fullSize}}`,
    )
    this.#flush()
    const head = Buffer.from('{"content": [')
    return new Uint8Array(Buffer.concat([head, ...this.#slices]))
  }

  #flush(): void {
    this.#slices.push(Buffer.from(this.#lines.join(''), 'latin1'))
    this.#lines = []
  }
}

/** A JSON string of printable ASCII alone, as Python's `json.dumps` writes it. */
function asciiJson(text: string): string {
  if (/^[ !#-[\]-~]*$/.test(text)) return `"${text}"`
  return JSON.stringify(text).replace(/[^ -~]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
