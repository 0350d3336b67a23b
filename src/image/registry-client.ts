/** One image at one registry: manifests, configuration, layers. OCI distribution specification, "Pulling content". */
import { MalformedError } from '../errors.ts'
import { MIB } from '../util/units.ts'
import { ImageNotFoundError, RegistryError } from './errors.ts'
import type { RegistryAuth } from './auth.ts'
import { readAll, type Fetched } from './fetch.ts'
import { ACCEPTED, choose, parseManifest, type Descriptor, type Manifest, type Offer } from './manifest.ts'
import type { Platform } from './platform.ts'
import type { ImageReference } from './reference.ts'
import type { Registry } from './registries.ts'
import { Retries, type RetryOptions } from './retry.ts'
import { Verifier, verify } from './verified.ts'

/** As Docker's own registry and containerd have it. */
const MAX_MANIFEST_BYTES = 4 * MIB
const MAX_CONFIG_BYTES = 8 * MIB
/** An index may name indexes, but not for ever. */
const MAX_INDEXES = 3

export class RegistryClient {
  readonly #base: string
  readonly #auth: RegistryAuth
  readonly #signal: AbortSignal
  readonly #retry: RetryOptions

  constructor(
    { endpoint }: Registry,
    { repository }: ImageReference,
    parts: { readonly auth: RegistryAuth; readonly signal: AbortSignal; readonly retry?: RetryOptions },
  ) {
    this.#base = `${endpoint.origin}/v2/${repository}`
    this.#auth = parts.auth
    this.#signal = parts.signal
    this.#retry = parts.retry ?? {}
  }

  /** The manifest for a platform, through what indexes there are. @throws {ImageNotFoundError} */
  async manifest({ tag, digest }: ImageReference, platform: Platform): Promise<Manifest> {
    let wanted: Descriptor | undefined
    for (let depth = 0; depth < MAX_INDEXES; depth++) {
      const found = await this.#manifest(wanted?.digest ?? digest ?? tag, wanted)
      if ('layers' in found) return found
      wanted = choose(found, platform)
    }
    throw new MalformedError('image', 'indexes of this image name only indexes')
  }

  async #manifest(reference: string, wanted: Descriptor | undefined): Promise<Manifest | readonly Offer[]> {
    const { bytes, contentType } = await this.#trying(async () => {
      const answer = await this.#get(`manifests/${reference}`, { accept: ACCEPTED })
      return {
        bytes: await readAll(answer, 'manifest of an image', MAX_MANIFEST_BYTES),
        contentType: answer.headers['content-type'],
      }
    })
    if (reference.startsWith('sha256:'))
      verify(bytes, { digest: reference, sizeBytes: wanted?.sizeBytes ?? bytes.length })
    return parseManifest(bytes, contentType)
  }

  async config({ config }: Manifest): Promise<Buffer> {
    const bytes = await this.#trying(async () =>
      readAll(await this.#get(`blobs/${config.digest}`), 'configuration of an image', MAX_CONFIG_BYTES),
    )
    verify(bytes, config)
    return bytes
  }

  /**
   * The bytes of a layer as they come: verified, and taken up again where a connection broke.
   * @throws {CorruptError} at the end at the latest when they are not what the digest says.
   */
  async *blob(descriptor: Descriptor): AsyncGenerator<Uint8Array> {
    const verifier = new Verifier(descriptor)
    const retries = new Retries(this.#retry)
    for (let isWhole = false; !isWhole;) {
      const before = verifier.bytes
      try {
        yield* this.#from(descriptor, verifier)
        isWhole = verifier.bytes >= descriptor.sizeBytes
        if (!isWhole) throw new RegistryError('the registry sent only a part of a layer')
      } catch (error) {
        if (verifier.bytes > before) retries.progress()
        await retries.after(error, this.#signal)
      }
    }
    verifier.finish()
  }

  /** What is still to come, or as much of it as one connection brings. */
  async *#from({ digest }: Descriptor, verifier: Verifier): AsyncGenerator<Uint8Array> {
    const start = verifier.bytes
    const answer = await this.#get(`blobs/${digest}`, start === 0 ? {} : { range: `bytes=${start}-` })
    // A server that knows no ranges begins again, and what is known is passed over.
    let skip = answer.status === 206 && startOf(answer) === start ? 0 : start
    for await (const piece of answer.body) {
      const fresh = piece.subarray(Math.min(skip, piece.length))
      skip -= piece.length - fresh.length
      if (fresh.length === 0) continue
      verifier.update(fresh)
      yield fresh
    }
  }

  async #trying<T>(work: () => Promise<T>): Promise<T> {
    const retries = new Retries(this.#retry)
    for (;;) {
      try {
        return await work()
      } catch (error) {
        await retries.after(error, this.#signal)
      }
    }
  }

  async #get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Fetched> {
    const answer = await this.#auth.get(new URL(`${this.#base}/${path}`), { headers, signal: this.#signal })
    const { status } = answer
    if (status === 200 || status === 206) return answer
    answer.close()
    // Hubs do not tell an image that is not there from one that is not for everybody.
    if ([401, 403, 404].includes(status))
      throw new ImageNotFoundError(`the registry has no such image, or none for us: it answered ${status}`)
    throw new RegistryError(`the registry answered ${status}`)
  }
}

function startOf({ headers }: Fetched): number | undefined {
  const match = /^bytes (\d+)-/.exec(headers['content-range'] ?? '')
  return match === null ? undefined : Number(match[1])
}
