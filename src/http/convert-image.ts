/** An image becomes a flist: its layers are taken in one over the other, and the result is published. */
import { createHash } from 'node:crypto'
import { NotFoundError } from '../errors.ts'
import type { FlistCounts } from '../flist/entry.ts'
import { ImageNotFoundError, RegistryError } from '../image/errors.ts'
import type { ImageProgress, OpenImage, OpenOptions } from '../image/images.ts'
import { withSuffix } from '../repo/names.ts'
import type { AbortOptions } from '../util/units.ts'
import { envelope, withHeaders } from './answer.ts'
import type { Actor } from './call.ts'
import { Refusal } from './errors.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'

export interface ConvertOptions extends AbortOptions {
  readonly platform?: () => string | undefined
  readonly onProgress?: ((progress: ImageProgress) => void) | undefined
  /** All that is read is read: the flist is being made. */
  readonly onRead?: (() => void) | undefined
}

export interface Converted {
  /** The flist's file name. */
  readonly name: string
  readonly counts: FlistCounts
}

/**
 * Opens an image, takes it in and publishes it in the actor's repository; nothing is published of one that fails.
 * @throws {Refusal} in the contract's words (hub-api.md §8.4) when the registry has no such image, or fails.
 */
export async function convertImage(
  site: Site,
  { repository, user }: Pick<Actor, 'repository' | 'user'>,
  open: (options: OpenOptions) => Promise<OpenImage>,
  name: () => string,
  options: ConvertOptions,
): Promise<Converted> {
  await site.space.require(0) // known content adds no chunk that would ask for room
  const lease = site.leases.open()
  let image: OpenImage | undefined
  try {
    image = await open(options)
    const { layers, metadata } = image
    const { signal, onRead } = options
    const rows = () => {
      onRead?.()
      return metadata
    }
    const { flist, counts } = await site.ingestLayers(layers, { metadata: rows, lease, signal })
    const stored = checkName(withSuffix(name()))
    const id = await site.flists.put(flist, lease)
    const md5 = createHash('md5').update(flist.bytes).digest('hex')
    const target = { kind: 'file', flist: id, sizeBytes: flist.bytes.length, md5 } as const
    await site.repositories.apply(repository, [{ type: 'put', name: stored, target }], user)
    site.served
      .get(id)
      .catch((error: unknown) => site.log.warn('cannot render a new flist', { name: stored }, error))
    return { name: stored, counts }
  } catch (error) {
    throw inContractWords(site, error)
  } finally {
    await image?.close()
    lease.release()
  }
}

/** The original's two sentences; why it was, a header and the log tell. */
function inContractWords(site: Site, error: unknown): unknown {
  if (!(error instanceof ImageNotFoundError || error instanceof RegistryError)) return error
  site.log.warn('cannot fetch an image', {}, error)
  const message = error instanceof NotFoundError ? 'docker image not found' : 'could not pull this image'
  const reason = error.message.replace(/[^\x20-\x7e]/g, '?').slice(0, 500)
  return new Refusal(withHeaders(envelope(500, message), ['X-Hub-Reason', reason]))
}
