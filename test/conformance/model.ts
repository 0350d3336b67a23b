/**
 * Two states side by side while cases are replayed: the one that the recording left, and the one that this hub should be
 * in, which is the recorded one with every departure so far applied to it.
 */
import { isFlistName, isName, isRepositoryName, isTaglinkName } from '../../src/format/name-rule.ts'
import { placeOf, type Place, type PlaceKey, type RecordedState, type Thing } from './recorded-state.ts'
import { EMPTY_STATE } from './recorded-state.ts'

export class Model {
  recorded: RecordedState = EMPTY_STATE
  readonly expected = new Map<PlaceKey, Thing>()
  /** Where the two differ, the departure that made the difference. */
  readonly departures = new Map<PlaceKey, number>()
  /** Repositories of which this hub has an operation. */
  readonly repositories = new Set<string>()
  /** The fixture that a name was uploaded from. */
  readonly fixtures = new Map<PlaceKey, string>()

  put(key: PlaceKey, thing: Thing, departure?: number): void {
    this.expected.set(key, thing)
    this.repositories.add(placeOf(key).repository)
    if (departure === undefined) this.departures.delete(key)
    else this.departures.set(key, departure)
  }

  remove(key: PlaceKey): void {
    this.expected.delete(key)
    this.departures.delete(key)
  }

  /** The original changed a name, and this hub does not. */
  depart(key: PlaceKey, departure: number): void {
    this.departures.set(key, departure)
  }

  /** Where a name leads in one of the two states; `undefined` when it dangles or loops. */
  follow(things: ReadonlyMap<PlaceKey, Thing>, key: PlaceKey): PlaceKey | undefined {
    const visited = new Set<PlaceKey>()
    for (let at: PlaceKey | undefined = key; at !== undefined && !visited.has(at);) {
      visited.add(at)
      const thing: Thing | undefined = things.get(at)
      if (thing?.kind === 'file') return at
      at = thing === undefined || thing.kind === 'taglink' ? undefined : targetKey(placeOf(at), thing)
    }
    return undefined
  }

  /** What a link of this hub points to; `undefined` for what is no link. */
  linkTarget(key: PlaceKey): PlaceKey | undefined {
    const thing = this.expected.get(key)
    if (thing === undefined || thing.kind === 'file' || thing.kind === 'taglink') return undefined
    return targetKey(placeOf(key), thing)
  }

  hasRepository(repository: string): boolean {
    return this.repositories.has(repository)
  }
}

function targetKey(place: Place, thing: Exclude<Thing, { kind: 'file' | 'taglink' }>): PlaceKey {
  return thing.kind === 'link' ? `${place.repository}/${thing.name}` : `${thing.repository}/${thing.name}`
}

/** Hub-departures 7: what cannot be called so here. */
export function isAllowedName({ repository, tag, name }: Place, thing: Thing): boolean {
  if (!isRepositoryName(repository) || (tag !== undefined && !isName(tag))) return false
  return thing.kind === 'taglink' ? isTaglinkName(name) : isFlistName(name)
}
