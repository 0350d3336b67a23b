/** An image of a registry, as the fields of a form name it, made a flist. */
import { ImageNotFoundError, RegistryError } from '../image/errors.ts'
import type { ImageProgress } from '../image/images.ts'
import { publishedName } from '../image/reference.ts'
import { withSuffix } from '../repo/names.ts'
import type { Actor } from './call.ts'
import { convertImage, type Converted, type ConvertOptions } from './convert-image.ts'
import { refuse } from './errors.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'

/** `image`; ours besides: `name` and `platform`. */
export type PullFields = ReadonlyMap<string, string>

export interface PullOptions extends ConvertOptions {
  readonly onProgress?: ((progress: ImageProgress) => void) | undefined
}

/**
 * @throws {Refusal} without an image; {InvalidInputError} for a name that is none; what `Images.pull` and ingest throw.
 */
export function pullImage(
  site: Site,
  actor: Pick<Actor, 'repository' | 'user'>,
  fields: PullFields,
  { onProgress, ...options }: PullOptions,
): Promise<Converted> {
  const { image, name } = checkFields(fields)
  const platform = () => nonEmpty(fields.get('platform'))
  const open = () => site.images.pull(image, { signal: options.signal, onProgress, platform })
  return convertImage(site, actor, { open, name: () => name }, options)
}

/** The same failures, before any work. */
export function checkFields(fields: PullFields): { readonly image: string; readonly name: string } {
  const image = nonEmpty(fields.get('image')) ?? refuse(400, 'missing docker image name')
  return { image, name: checkName(withSuffix(nonEmpty(fields.get('name')) ?? publishedName(image))) }
}

/** What the original says of registries that have no such image, or fail; `undefined` for all other errors. */
export function contractWords(error: unknown): string | undefined {
  if (error instanceof ImageNotFoundError) return 'docker image not found'
  return error instanceof RegistryError ? 'could not pull this image' : undefined
}

export function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}
