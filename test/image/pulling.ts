/** Images of a test's registry, known as `test.example`. */
import type { IncomingMessage } from 'node:http'
import { Images, type ImagesOptions, type OpenOptions } from '../../src/image/images.ts'
import { RegistryList } from '../../src/image/registries.ts'
import { collect } from '../doubles/collect.ts'
import type { TestRegistry } from '../doubles/registry.ts'

export const AMD64 = { os: 'linux', architecture: 'amd64' }

export function imagesAt(registry: TestRegistry, options: Partial<ImagesOptions> = {}): Images {
  return new Images({
    registries: new RegistryList([`test.example=${registry.url}+private`]),
    credentials: new Map(),
    platform: AMD64,
    maxBytes: 1 << 20,
    fetch: { idleMs: 60_000 },
    retry: { firstWaitMs: 0 },
    archives: { directory: '/nowhere', requireSpace: () => Promise.resolve(), decompress: (bytes) => bytes },
    ...options,
  })
}

/** Every layer but the last, which is the start-up file's. */
export async function pullFrom(
  registry: TestRegistry,
  name: string,
  options: Partial<ImagesOptions> = {},
  open: OpenOptions = {},
): Promise<Buffer[]> {
  const image = await imagesAt(registry, options).pull(`test.example/${name}`, open)
  try {
    const layers: Buffer[] = []
    for await (const layer of image.layers) layers.push(await collect(layer))
    return layers.slice(0, -1)
  } finally {
    await image.close()
  }
}

export function isBlob({ url = '' }: IncomingMessage, { digest }: { readonly digest: string }): boolean {
  return url.endsWith(`/blobs/${digest}`)
}
