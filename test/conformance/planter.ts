/** Makes by hand what was put by hand in the recording. */
import { isAllowedName, type Model } from './model.ts'
import { placeOf, type PlaceKey, type StateChange, type Thing } from './recorded-state.ts'
import type { ReplayNode } from './replay-node.ts'

/** Golden/hub/README.md: copies that were put by hand, and of what. */
const COPIES_BY_HAND: Readonly<Record<PlaceKey, PlaceKey>> = {
  'other/theirs-1.0.flist': 'Administrator/hello.flist',
  'Administrator/hello.flist': 'other/theirs-1.0.flist',
}

export class Planter {
  readonly #node: ReplayNode
  readonly #model: Model
  readonly #garbageBytes: number

  constructor(node: ReplayNode, model: Model, garbageBytes: number) {
    this.#node = node
    this.#model = model
    this.#garbageBytes = garbageBytes
  }

  /** `path` of the request tells what a new file is a copy of. */
  async plant(changes: readonly StateChange[], path: string): Promise<void> {
    for (const { key, after } of changes) {
      if (after !== undefined) await this.#put(key, after, this.#sourceOf(key, path))
    }
    for (const { key, after } of changes) {
      if (after !== undefined) continue // a name that moved was copied before it goes
      if (this.#model.expected.has(key)) await this.#node.remove(placeOf(key))
      this.#model.remove(key)
    }
  }

  async #put(key: PlaceKey, thing: Thing, source: PlaceKey | undefined): Promise<void> {
    const place = placeOf(key)
    if (!isAllowedName(place, thing)) return this.#model.depart(key, 7)
    if (thing.kind !== 'file') {
      await this.#node.putLink(place, thing)
      return this.#model.put(key, thing)
    }
    if (thing.sizeBytes === this.#garbageBytes) return this.#model.depart(key, 15)
    await this.#node.putFile(place, source === undefined ? undefined : placeOf(source))
    this.#model.put(key, thing)
  }

  /** The file that a new one is a copy of; `undefined` for a content that is not known. */
  #sourceOf(key: PlaceKey, path: string): PlaceKey | undefined {
    const { repository } = placeOf(key)
    const parts = path.split('/').map(decodeURIComponent)
    const at = parts.indexOf('me') + 1
    const full = (name = '') => (name.endsWith('.flist') ? name : `${name}.flist`)
    const isRename = parts[at + 1] === 'rename' && key === `${repository}/${full(parts[at + 2])}`
    const isPromote = parts[at] === 'promote' && key === `${repository}/${full(parts[at + 3])}`
    const source = isRename
      ? `${repository}/${full(parts[at])}`
      : isPromote
        ? `${parts[at + 1]}/${full(parts[at + 2])}`
        : COPIES_BY_HAND[key]
    return source === undefined ? undefined : this.#model.follow(this.#model.expected, source)
  }
}
