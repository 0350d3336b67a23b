/** An image becomes a flist: its layers are taken in one over the other, and the result is published. */
import type { FlistCounts } from '../flist/entry.ts'
import type { OpenImage } from '../image/images.ts'
import { withSuffix } from '../repo/names.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Actor } from './call.ts'
import { checkName } from './names.ts'
import { publishFlist } from './publish-flist.ts'
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
  site: Site,
  actor: Pick<Actor, 'repository' | 'user'>,
  { open, name: nameOf }: ImageToConvert,
  { signal, onRead }: ConvertOptions,
): Promise<Converted> {
  await site.space.require(0) // known content adds no chunk that would ask for room
  const image = await open()
  const lease = site.leases.open()
  try {
    const metadata = () => {
      onRead?.()
      return image.metadata
    }
    const { flist, counts } = await site.ingestLayers(image.layers, { metadata, lease, signal })
    const name = checkName(withSuffix(nameOf()))
    await publishFlist(site, actor, { name, flist, lease })
    return { name, counts }
  } finally {
    lease.release()
    await image.close()
  }
}
