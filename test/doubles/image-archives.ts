/** Image archives as docker and OCI tools write them. */
import {
  configBytes,
  digestOf,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  OCI_MANIFEST,
  type ImageParts,
} from './registry.ts'
import { member, tarOf, type Handmade } from './tar-bytes.ts'

/** What `docker save` wrote before it wrote OCI layouts; podman still does. */
export function dockerSave(parts: ImageParts): Buffer {
  return tarOf(...dockerSave.members(parts))
}

dockerSave.folder = (at: number): string => String(at).repeat(64).slice(0, 64)

dockerSave.configName = (parts: ImageParts): string => `${digestOf(configBytes(parts)).slice(7)}.json`

/** `replace` may put another member in place of the layer. */
dockerSave.files = (
  parts: ImageParts,
  replace: (path: string, at: number) => Handmade | undefined = () => undefined,
): Handmade[] => {
  const paths = parts.layers.map((_, at) => `${dockerSave.folder(at)}/layer.tar`)
  const Config = dockerSave.configName(parts)
  const layers = parts.layers.map(
    (content, at) => replace(paths[at] ?? '', at) ?? { path: paths[at] ?? '', content },
  )
  return [
    ...layers,
    { path: Config, content: configBytes(parts) },
    {
      path: 'manifest.json',
      content: JSON.stringify([{ Config, RepoTags: ['acme/web:1.0'], Layers: paths }]),
    },
  ]
}

dockerSave.members = (...of: Parameters<typeof dockerSave.files>): Buffer[] =>
  dockerSave.files(...of).map(member)

/** An OCI layout with an image for each platform. */
export function ociLayout(images: readonly ImageParts[]): Buffer {
  const blobs = new Map<string, Uint8Array>()
  const blob = (bytes: Uint8Array, mediaType: string) => {
    const digest = digestOf(bytes)
    blobs.set(`blobs/sha256/${digest.slice(7)}`, bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const manifests = images.map((parts) => {
    const layers = parts.layers.map((layer) => blob(layer, parts.layerType ?? OCI_LAYER))
    const manifest = {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: blob(configBytes(parts), OCI_CONFIG),
      layers,
    }
    const platform = { os: 'linux', architecture: 'amd64', ...parts.outer }
    return { ...blob(Buffer.from(JSON.stringify(manifest)), OCI_MANIFEST), platform }
  })
  return tarOf(
    member({ path: 'blobs/', kind: 'directory' }),
    ...[...blobs].map(([path, content]) => member({ path, content })),
    member({
      path: 'index.json',
      content: JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }),
    }),
    member({ path: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' }),
  )
}
