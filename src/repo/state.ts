import { effectKey } from '../format/effect.ts'
import type { Effect, Target } from '../format/effect.ts'
import { compareTimes } from '../format/operation.ts'
import type { HybridTime, SignedOperation } from '../format/operation.ts'
import { compareBytes, toLatin1 } from '../util/bytes.ts'

/**
 * The state function (replication design 2.5): which versions of a name stand, and which one wins. Pure: it depends
 * on the set of operations only, never on the order in which they came.
 */
export interface Version {
  /** Hash of the operation that made it. */
  readonly operation: Uint8Array
  /** Key of the node that signed. */
  readonly author: Uint8Array
  /** On whose behalf. */
  readonly user: string
  readonly time: HybridTime
  readonly type: Effect['type']
  /** None = the name is deleted. */
  readonly target: Target | undefined
  /** Unix seconds that lists show. */
  readonly updatedS: number
}

/** A version that a later operation replaced. */
export interface PastVersion extends Version {
  /** When the first operation to replace it was made. */
  readonly endedMs: number
  /** It was a live loser of a conflict that this operation settled. */
  readonly wasInConflict: boolean
}

/** One name's part of an operation. */
export interface PlacedEffect {
  readonly key: string
  readonly version: Version
  readonly supersedes: readonly Uint8Array[]
}

export interface NameState {
  readonly heads: readonly Version[]
  readonly past: readonly PastVersion[]
}

export function placeEffects({ operation, hash }: SignedOperation): PlacedEffect[] {
  const { author, user, time } = operation
  return operation.effects.map((effect) => ({
    key: effectKey(effect),
    version: {
      operation: hash,
      author,
      user: user.sub,
      time,
      type: effect.type,
      target: effect.target,
      updatedS: effect.updatedS ?? Math.floor(time.ms / 1000),
    },
    supersedes: effect.supersedes,
  }))
}

/** The state of each name from all accepted effects of a repository, in any order, each any number of times. */
export function stateOf(effects: Iterable<PlacedEffect>): Map<string, NameState> {
  const names = new Map<string, Map<string, PlacedEffect>>()
  for (const effect of effects) {
    let versions = names.get(effect.key)
    if (versions === undefined) names.set(effect.key, (versions = new Map()))
    versions.set(toLatin1(effect.version.operation), effect)
  }
  return new Map([...names].map(([key, versions]) => [key, stateOfName(versions)]))
}

/** The state of one name from its accepted effects, by hash of their operations. */
export function stateOfName(effects: ReadonlyMap<string, PlacedEffect>): NameState {
  const past = new Map<string, PastVersion>()
  for (const effect of effects.values()) {
    const replaced = effect.supersedes.flatMap((hash) => effects.get(toLatin1(hash))?.version ?? [])
    for (const version of endVersions(replaced, effect.version.time)) {
      const id = toLatin1(version.operation)
      past.set(id, joinEnds(past.get(id), version))
    }
  }
  const heads = [...effects].filter(([id]) => !past.has(id)).map(([, { version }]) => version)
  return { heads: rank(heads), past: [...past.values()].sort(byRank) }
}

function joinEnds(known: PastVersion | undefined, end: PastVersion): PastVersion {
  if (known === undefined) return end
  return {
    ...end,
    endedMs: Math.min(known.endedMs, end.endedMs),
    wasInConflict: known.wasInConflict || end.wasInConflict,
  }
}

/** What becomes of the versions that one operation replaces together. */
export function endVersions(replaced: readonly Version[], time: HybridTime): PastVersion[] {
  const losers = new Set(conflictsOf(replaced).flat())
  return replaced.map((version) => ({
    ...version,
    endedMs: time.ms,
    wasInConflict: losers.has(version),
  }))
}

/** The heads after one more effect; `isSuperseded` when an operation that replaces it came before it. */
export function advance(heads: readonly Version[], effect: PlacedEffect, isSuperseded: boolean): Version[] {
  const gone = new Set(effect.supersedes.map(toLatin1))
  const id = toLatin1(effect.version.operation)
  const stay = heads.filter(({ operation }) => !gone.has(toLatin1(operation)) && toLatin1(operation) !== id)
  return rank(isSuperseded ? stay : [...stay, effect.version])
}

/** Best first: a put before a delete, then the later, then by author and hash. A total order. */
export function rank(versions: readonly Version[]): Version[] {
  return [...versions].sort(byRank)
}

function byRank(a: Version, b: Version): number {
  return (
    Number(b.target !== undefined) - Number(a.target !== undefined) ||
    compareTimes(b.time, a.time) ||
    compareBytes(b.author, a.author) ||
    compareBytes(b.operation, a.operation)
  )
}

/**
 * The live versions that lost against the winner, equal ones together, best first. Heads with the winner's target
 * are the winner; deletions never are in conflict.
 */
export function conflictsOf(heads: readonly Version[]): Version[][] {
  const groups = new Map<string, Version[]>()
  for (const version of rank(heads)) {
    if (version.target === undefined) continue
    const id = targetId(version.target)
    const group = groups.get(id)
    if (group === undefined) groups.set(id, [version])
    else group.push(version)
  }
  return [...groups.values()].slice(1)
}

/** Equal for targets of equal kind and place. */
export function targetId(target: Target): string {
  switch (target.kind) {
    case 'file':
      return `file/${toLatin1(target.flist)}`
    case 'link':
      return `link/${target.name}`
    case 'taglink':
      return `taglink/${target.repository}/${target.tag}`
    case 'xlink':
    case 'tagentry':
      return `${target.kind}/${target.repository}/${target.name}`
  }
}
