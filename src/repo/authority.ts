import type { SignedOperation } from '../format/operation.ts'
import { toLatin1 } from '../util/bytes.ts'

/** Up to and including one operation: itself and those its chain of `previous` leads to. */
export interface LogLimit {
  readonly sequence: number
  /** Of the last operation that counts, 32 bytes. */
  readonly hash: Uint8Array
}

/** What of a log counts; of several limits each one. */
export type Limits = 'all' | 'none' | readonly LogLimit[]

/** The two questions that governance answers about operations (replication design 2.4). */
export interface Authority {
  /** May operations of that node be stored and passed on? Also of one that was cut: what is stored can be judged again. */
  isAdmitted(node: Uint8Array): boolean
  /** Which operations of one of its logs count. */
  limitsOf(node: Uint8Array, log: Uint8Array): Limits
}

/** Those of one log that count, in their order; `log` holds everything that is here of it. */
export function countedOf(log: readonly SignedOperation[], limits: Limits): readonly SignedOperation[] {
  if (limits === 'all') return log
  if (limits === 'none') return []
  const byHash = new Map(log.map((signed) => [toLatin1(signed.hash), signed]))
  return limits.reduce((left, { hash }) => {
    const kept = lineOf(byHash, hash)
    return left.filter((signed) => kept.has(signed))
  }, log)
}

/** An operation and everything before it in its log; nothing while it has not come. */
function lineOf(byHash: ReadonlyMap<string, SignedOperation>, hash: Uint8Array): Set<SignedOperation> {
  const line = new Set<SignedOperation>()
  let signed = byHash.get(toLatin1(hash))
  while (signed !== undefined) {
    line.add(signed)
    const { previous } = signed.operation
    signed = previous && byHash.get(toLatin1(previous))
  }
  return line
}
