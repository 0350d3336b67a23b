import { InvalidInputError, LimitError } from '../errors.ts'
import { effectKey, isTargetOf, MAX_SUPERSEDED } from '../format/effect.ts'
import type { Effect } from '../format/effect.ts'
import { MAX_EFFECTS } from '../format/operation.ts'
import { compareBytes } from '../util/bytes.ts'
import type { Change } from './entry.ts'
import { parseTagName } from './names.ts'
import type { Version } from './state.ts'

/** @throws {InvalidInputError | LimitError} for changes that no operation may hold. */
export function checkChanges(changes: readonly Change[]): void {
  if (changes.length > MAX_EFFECTS) throw new LimitError('changes at once', MAX_EFFECTS, 'names')
  if (new Set(changes.map(effectKey)).size < changes.length)
    throw new InvalidInputError('a name is changed twice')
  for (const change of changes) {
    const { name, tag } = change
    parseTagName(name)
    if (tag !== undefined) parseTagName(tag)
    if (change.type === 'put' && !isTargetOf(change, change.target))
      throw new InvalidInputError('invalid name')
  }
}

/** Each effect replaces all that stands under its name, as far as an operation may name it. */
export function effectsOf(
  changes: readonly Change[],
  heads: ReadonlyMap<string, readonly Version[]>,
): Effect[] {
  let left = MAX_SUPERSEDED
  return changes.flatMap((change): Effect[] => {
    const standing = heads.get(effectKey(change)) ?? []
    if (change.type === 'delete' && standing[0]?.target === undefined) return []
    const supersedes = standing
      .slice(0, left)
      .map(({ operation }) => operation)
      .sort(compareBytes)
    left -= supersedes.length
    const { type, name, tag } = change
    const effect = { type, name, ...(tag !== undefined && { tag }), supersedes }
    if (change.type === 'delete') return [effect]
    const { target, updatedS } = change
    return [{ ...effect, target, ...(updatedS !== undefined && { updatedS }) }]
  })
}
