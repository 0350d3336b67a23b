import { ForbiddenError } from '../errors.ts'
import type { NodeClient } from './client.ts'

/**
 * The repository that a change will land in: the named one, or that of whoever we are to the node. A node takes a name
 * that is not ours for a slip and writes to our own, so it is asked first.
 * @throws {ForbiddenError} when the named one is not ours to write.
 */
export async function actingRepository(node: NodeClient, named: string | undefined): Promise<string> {
  const answer = await node.call('GET', '/api/flist/me', { actingRepository: named })
  const { username } = (answer as { payload: { username: string } }).payload
  if (named !== undefined && username !== named) {
    throw new ForbiddenError(`you are ${username}: the repository ${named} is not yours to write`)
  }
  return username
}
