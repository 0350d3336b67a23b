import { ForbiddenError } from '../errors.ts'
import type { Governance } from './governance.ts'

/** Why what a node signs counts nowhere in its realm, and what its operator can do; `undefined` while it counts. */
export function whyCutOff({ name, member }: Governance, node: Uint8Array): string | undefined {
  const own = member(node)
  if (own === undefined || !own.isCut || own.hasLeft) return undefined
  const called = own.name === '' ? 'this node' : own.name
  return (
    `this node was cut from its realm${name === '' ? '' : ` ${name}`}: what it signs counts nowhere. ` +
    `An administrator there takes that back with zhub realm uncut ${called}; ` +
    'zhub realm leave takes this node out of the realm, with what it holds'
  )
}

/** @throws {ForbiddenError} when what a node signs counts nowhere: nothing that it acknowledged would be kept. */
export function requireStanding(governance: Governance, node: Uint8Array): void {
  const why = whyCutOff(governance, node)
  if (why !== undefined) throw new ForbiddenError(why)
}
