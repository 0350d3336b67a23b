/** An image becomes a flist: its layers are taken in one over the other, and the result is published. */
import { createHash } from 'node:crypto'
import type { FlistCounts } from '../flist/entry.ts'
import type { OpenImage } from '../image/images.ts'
import { withSuffix } from '../repo/names.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Actor } from './call.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'

export interface ImageToConvert {
  readonly open: () => Promise<OpenImage>
  /** What it is published as; asked once all of it is here. */
  readonly name: () => string
}

export interface ConvertOptions extends AbortOptions {
  /** The last byte has come: the flist is being made. */
  readonly onRead?: (() => void) | undefined
}

export interface Converted {
  /** The flist's file name. */
  readonly name: string
  readonly counts: FlistCounts
}

/**
 * Opens an image, takes it in and publishes it in the actor's repository; nothing is published of one that fails.
 * @throws what opening and ingest throw.
 */
export async function convertImage(
  { space, leases, ingestLayers, flists, repositories, served, log }: Site,
  { repository, user }: Pick<Actor, 'repository' | 'user'>,
  { open, name: nameOf }: ImageToConvert,
  { signal, onRead }: ConvertOptions,
): Promise<Converted> {
  await space.require(0) // known content adds no chunk that would ask for room
  const image = await open()
  const lease = leases.open()
  try {
    const metadata = () => {
      onRead?.()
      return image.metadata
    }
    const { flist, counts } = await ingestLayers(image.layers, { metadata, lease, signal })
    const name = checkName(withSuffix(nameOf()))
    const id = await flists.put(flist, lease)
    const md5 = createHash('md5').update(flist.bytes).digest('hex')
    const target = { kind: 'file', flist: id, sizeBytes: flist.bytes.length, md5 } as const
    await repositories.apply(repository, [{ type: 'put', name, target }], user)
    served.get(id).catch((error: unknown) => log.warn('cannot render a new flist', { name }, error))
    return { name, counts }
  } finally {
    lease.release()
    await image.close()
  }
}
