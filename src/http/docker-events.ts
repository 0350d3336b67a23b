/** What a page is told of a conversion while it goes on: the original's events, as far as they mean something here. */
import type { ImageProgress } from '../image/images.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Actor } from './call.ts'
import { countsView } from './flist-views.ts'
import type { Tell } from './jobs.ts'
import { contractWords, pullImage } from './pull-image.ts'
import type { Site } from './site.ts'

/** Layers are 10 to 50 of the bar, as in the original. */
const [LAYERS_FROM, LAYERS_TO] = [10, 50]

/** Converts an image for the actor and tells how far it is. @throws what the contract has no words for. */
export async function convertWithEvents(
  site: Site,
  actor: Pick<Actor, 'repository' | 'user'>,
  image: string,
  tell: Tell,
  { signal }: AbortOptions = {},
): Promise<void> {
  const update = (message: string, progress: number) => tell({ status: 'update', message, progress })
  update('Initializing docker converter', 0)
  try {
    const spelledOut = image.includes(':') ? image : `${image}:latest`
    update(`Pulling docker image: ${spelledOut}`, LAYERS_FROM)
    const { name, counts } = await pullImage(site, actor, new Map([['image', image]]), {
      signal,
      onProgress: layerUpdates(update),
      onRead: () => update('Preparing filesystem flist', 56),
    })
    update('Image ready !', 100)
    const info = { status: 'success', file: name, flist: countsView(counts), timing: {} }
    tell({ status: 'info', info })
  } catch (error) {
    const message = contractWords(error)
    if (message === undefined) throw error
    site.log.warn(message, { image: image.slice(0, 200) }, error)
    tell({ status: 'error', message })
  }
}

/** One for each per cent, and for each layer. */
function layerUpdates(
  update: (message: string, progress: number) => void,
): (progress: ImageProgress) => void {
  let told = ''
  return ({ layer, layers, doneBytes, totalBytes }) => {
    const share = totalBytes === 0 ? 1 : doneBytes / totalBytes
    const progress = LAYERS_FROM + Math.floor((LAYERS_TO - LAYERS_FROM) * share)
    if (told === `${layer} ${progress}`) return
    told = `${layer} ${progress}`
    const size = `${megabytes(doneBytes)} / ${megabytes(totalBytes)}`
    update(`Extracting layer ${layer} / ${layers} [${size}]`, progress)
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
