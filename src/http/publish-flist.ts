import { createHash } from 'node:crypto'
import { ConflictError } from '../errors.ts'
import { chunkIdsOf } from '../store/chunk-list.ts'
import type { Lease, NewFlist } from '../store/flist-store.ts'
import type { Actor } from './call.ts'
import type { Site } from './site.ts'
import { MIB } from '../util/units.ts'

/** Rendered for its readers at once; larger ones take 90 MiB and half a second, when somebody asks. */
const EAGER_BYTES = 1 * MIB

/** Names a flist whose chunks are durable here: the flist, then the operation, each durable before the next. */
export async function publishFlist(
  { flists, repositories, purges, served, log }: Site,
  { repository, user }: Pick<Actor, 'repository' | 'user'>,
  { name, flist, lease }: { readonly name: string; readonly flist: NewFlist; readonly lease: Lease },
): Promise<void> {
  const id = await flists.put(flist, lease).catch(async (error: unknown) => {
    if (error instanceof ConflictError) {
      lease.release()
      await purges.discard(chunkIdsOf(flist)) // purged: what it brought along must not stay either
    }
    throw error
  })
  const md5 = createHash('md5').update(flist.bytes).digest('hex')
  const target = { kind: 'file', flist: id, sizeBytes: flist.bytes.length, md5 } as const
  await repositories.apply(repository, [{ type: 'put', name, target }], user)
  if (flist.bytes.length > EAGER_BYTES) return
  served.get(id).catch((error: unknown) => log.warn('cannot render a new flist', { name }, error))
}
