import { concat, isUtf8, toUtf8 } from '../util/bytes.ts'
import type { ArchiveEntry } from './archive-entry.ts'
import type { LayerMark } from './layer-mark.ts'

/** Files of the root that become the flist's `readme`, the first that is there (hub-api.md §8.1). */
const NAMES = ['.README.md', '.README']

/** Keeps the readme of an archive while its content passes by; of several of a name the last. */
export class Readme {
  readonly #maxBytes: number
  /** By name; `undefined` for what is no text to be kept. */
  readonly #found = new Map<string, Uint8Array[] | undefined>()
  /** Of the layers before; marks hide these alone. */
  readonly #below = new Set<string>()
  #current: Uint8Array[] | undefined

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  member({ parent, name, kind, sizeBytes }: ArchiveEntry): void {
    this.#current = undefined
    if (parent !== '' || !NAMES.includes(name)) return
    if (kind === 'file' && sizeBytes <= this.#maxBytes) this.#current = []
    this.#found.set(name, this.#current)
    this.#below.delete(name)
  }

  nextLayer(): void {
    for (const name of this.#found.keys()) this.#below.add(name)
  }

  /** A mark of this layer. */
  hide({ kind, path }: LayerMark): void {
    for (const name of this.#below) {
      const isHidden = kind === 'opaque' ? path.name === '' : path.parent === '' && path.name === name
      if (isHidden) this.#found.delete(name)
    }
  }

  take(bytes: Uint8Array): void {
    this.#current?.push(bytes.slice())
  }

  takeHole(lengthBytes: number): void {
    this.#current?.push(new Uint8Array(lengthBytes))
  }

  /** The row's value: JSON as the reference writes it, the exact text in it. `undefined` without a text. */
  metadata(): string | undefined {
    const name = NAMES.find((candidate) => this.#found.has(candidate))
    const parts = this.#found.get(name ?? '')
    const bytes = parts === undefined ? undefined : concat(parts)
    return bytes === undefined || !isUtf8(bytes) ? undefined : `{"readme": ${JSON.stringify(toUtf8(bytes))}}`
  }
}
