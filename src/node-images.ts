import type { Config } from './config.ts'
import type { DataFolder } from './data-folder.ts'
import { decompress } from './flist/decompress.ts'
import { Images } from './image/images.ts'
import type { FreeSpace } from './store/free-space.ts'

/** Where images come from: registries as the settings allow, and archives put aside in the data folder. */
export function createImages({ images, limits }: Config, folder: DataFolder, space: FreeSpace): Images {
  return new Images({
    ...images,
    maxBytes: limits.maxUploadBytes,
    archives: {
      directory: folder.temporary,
      requireSpace: (bytes) => space.require(bytes),
      decompress,
    },
  })
}
