import { CorruptError } from '../errors.ts'
import { decodeOperation } from '../format/operation.ts'
import type { Row, RowChange, RowStore, Space } from '../store/row-store.ts'
import { readU64be, toHex, toLatin1, toUtf8 } from '../util/bytes.ts'
import { readHeads } from './history.ts'
import {
  encodePastVersion,
  encodeVersion,
  idRange,
  operationKey,
  SPACES,
  versionKey,
  versionRange,
} from './rows.ts'
import { advance, endVersions, placeEffects, stateOfName } from './state.ts'
import type { PastVersion, PlacedEffect, Version } from './state.ts'

/** What becomes of one name when operations arrive. */
export interface NameDelta {
  readonly key: string
  /** Afterwards, best first. */
  readonly heads: readonly Version[]
  /** Of its `head` and `past` rows. */
  readonly changes: readonly RowChange[]
}

/**
 * The rows of each name that `effects` touch. An effect that replaces what stands, as nearly all do, costs the heads of
 * its name. One that comes after what replaced it, or that replaces what is gone or not here, makes the name anew from
 * all its operations, so that the order of arrival leaves no trace (invariant I4).
 */
export async function nameDeltas(
  rows: RowStore,
  repository: Uint8Array,
  effects: readonly PlacedEffect[],
): Promise<NameDelta[]> {
  const byKey = new Map<string, PlacedEffect[]>()
  for (const effect of effects) {
    const same = byKey.get(effect.key)
    if (same === undefined) byKey.set(effect.key, [effect])
    else same.push(effect)
  }
  const deltas: NameDelta[] = []
  for (const [key, same] of byKey) {
    const name = new Name(rows, repository, key)
    deltas.push((await name.advance(same)) ?? (await name.remake(same)))
  }
  return deltas
}

class Name {
  readonly #rows: RowStore
  readonly #repository: Uint8Array
  readonly #key: string

  constructor(rows: RowStore, repository: Uint8Array, key: string) {
    this.#rows = rows
    this.#repository = repository
    this.#key = key
  }

  /** `undefined` when an effect is out of order. */
  async advance(effects: readonly PlacedEffect[]): Promise<NameDelta | undefined> {
    const before = await readHeads(this.#rows, this.#repository, this.#key)
    let heads: readonly Version[] = before
    const past: PastVersion[] = []
    const replaced = new Set<string>()
    for (const effect of effects) {
      const { version, supersedes } = effect
      const gone = new Set(supersedes.map(toLatin1))
      const ended = heads.filter(({ operation }) => gone.has(toLatin1(operation)))
      if (ended.length < gone.size || replaced.has(toLatin1(version.operation))) return undefined
      if (await this.#isReplaced(version.operation)) return undefined
      for (const id of gone) replaced.add(id)
      past.push(...endVersions(ended, version.time))
      heads = advance(heads, effect, false)
    }
    return { key: this.#key, heads, changes: this.#changes(before, heads, past) }
  }

  async #isReplaced(operation: Uint8Array): Promise<boolean> {
    for await (const [, key] of this.#rows.rows(SPACES.superseded, idRange(operation))) {
      if (toUtf8(key) === this.#key) return true
    }
    return false
  }

  async remake(effects: readonly PlacedEffect[]): Promise<NameDelta> {
    const range = versionRange(this.#repository, this.#key)
    const before = new Map<string, [Space, Row]>()
    for (const space of [SPACES.heads, SPACES.past]) {
      for await (const row of this.#rows.rows(space, range))
        before.set(`${space} ${toHex(row[0])}`, [space, row])
    }
    const all = new Map<string, PlacedEffect>()
    for (const [, [key]] of before.values()) {
      const hash = key.subarray(-32)
      all.set(toLatin1(hash), this.#effectOf(hash))
    }
    for (const effect of effects) all.set(toLatin1(effect.version.operation), effect)
    const { heads, past } = stateOfName(all)
    const changes = this.#changes([], heads, past)
    const kept = new Set(changes.map(({ space, key }) => `${space} ${toHex(key)}`))
    for (const [id, [space, [key]]] of before) {
      if (!kept.has(id)) changes.push({ type: 'delete', space, key })
    }
    return { key: this.#key, heads, changes }
  }

  /** What an operation that is here says about this name. */
  #effectOf(hash: Uint8Array): PlacedEffect {
    const place = this.#rows.get(SPACES.places, hash)
    const bytes =
      place &&
      this.#rows.get(SPACES.operations, operationKey(place.subarray(0, 32), readU64be(place, 32), hash))
    const effect = bytes && placeEffects(decodeOperation(bytes)).find(({ key }) => key === this.#key)
    if (effect === undefined) throw new CorruptError(toHex(hash), 'an operation that stands is not here')
    return effect
  }

  #changes(before: readonly Version[], heads: readonly Version[], past: readonly PastVersion[]): RowChange[] {
    const changes: RowChange[] = []
    const rowKey = (operation: Uint8Array) => versionKey(this.#repository, this.#key, operation)
    const stood = new Set(before.map(({ operation }) => toLatin1(operation)))
    for (const version of past) {
      const key = rowKey(version.operation)
      if (stood.has(toLatin1(version.operation))) changes.push({ type: 'delete', space: SPACES.heads, key })
      changes.push({ type: 'put', space: SPACES.past, key, value: encodePastVersion(version) })
    }
    for (const version of heads) {
      if (stood.has(toLatin1(version.operation))) continue
      changes.push({
        type: 'put',
        space: SPACES.heads,
        key: rowKey(version.operation),
        value: encodeVersion(version),
      })
    }
    return changes
  }
}
