import { MalformedError } from '../errors.ts'
import { logId } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import { equalBytes, toLatin1 } from '../util/bytes.ts'
import { placeValue } from './rows.ts'

/** What of a list of operations is new here. */
export interface Sifted {
  readonly fresh: readonly SignedOperation[]
  /** The first that follows one which is not here; it and those after it are left out. */
  readonly gap?: SignedOperation
}

/**
 * Passes over what is here. `placeOf` tells log and number of an operation that is, as its row has them.
 * @throws {MalformedError} for one that does not stand in its log after the one that it says it follows: its author
 * signed nonsense, which every node refuses.
 */
export function siftOperations(
  repository: Uint8Array,
  operations: readonly SignedOperation[],
  placeOf: (hash: Uint8Array) => Uint8Array | undefined,
): Sifted {
  const fresh: SignedOperation[] = []
  const coming = new Map<string, Uint8Array>()
  const find = (hash: Uint8Array) => coming.get(toLatin1(hash)) ?? placeOf(hash)
  for (const signed of operations) {
    if (find(signed.hash) !== undefined) continue
    const { previous, author, incarnation, sequence } = signed.operation
    const log = logId(repository, author, incarnation)
    if (previous !== undefined) {
      const place = find(previous)
      if (place === undefined) return { fresh, gap: signed }
      if (!equalBytes(place, placeValue(log, sequence - 1)))
        throw new MalformedError('operation', 'it does not follow the operation that it names')
    }
    fresh.push(signed)
    coming.set(toLatin1(signed.hash), placeValue(log, sequence))
  }
  return { fresh }
}
