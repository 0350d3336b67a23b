/** A node of our own in this process, asked over its port like any client, and planted through its own ports. */
import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { extract } from 'tar-stream'
import { loadConfig } from '../../src/config.ts'
import { createChunkCodec } from '../../src/format/chunk-codec.ts'
import { openNode, type HubNode } from '../../src/node.ts'
import type { Change, Entry, Target, User } from '../../src/repo/entry.ts'
import { SILENT } from '../../src/util/logger.ts'
import { send, type RawRequest, type RawResponse } from './raw-http.ts'
import { placeKey, type Place, type PlaceKey, type Thing } from './recorded-state.ts'

const BY_HAND: User = { sub: 'Administrator', idp: 'local' }

export interface ReplayNode {
  send(request: RawRequest): Promise<RawResponse>
  /** Every name there is. */
  things(): Map<PlaceKey, Thing>
  /** A file with the content of another, or, without one, with a content that cannot be read. */
  putFile(place: Place, source: Place | undefined): Promise<void>
  putLink(place: Place, thing: Exclude<Thing, { kind: 'file' }>): Promise<void>
  remove(place: Place): Promise<void>
  /** The kind of every file in a flist, by path; empty where there is no such flist. */
  kindsIn(repository: string, name: string): Promise<ReadonlyMap<string, string>>
  /** Of every file in a flist together. */
  bytesIn(repository: string, name: string): Promise<number>
  /** A file in a flist, as text; empty where there is none. */
  textIn(repository: string, name: string, path: string): Promise<string>
  /** Keeps the chunks of an archive's files, whoever may refer to them. */
  plantChunksOf(archive: string): Promise<void>
  stop(): Promise<void>
}

export async function openReplayNode(
  data: string,
  settings: Readonly<Record<string, string>>,
): Promise<ReplayNode> {
  const config = loadConfig({ ...settings, ZHUB_DATA: data })
  const node = await openNode(config, { version: '0.0.0', log: SILENT, isPublic: true })
  return new InProcessNode(node)
}

class InProcessNode implements ReplayNode {
  readonly #node: HubNode
  readonly #port: number

  constructor(node: HubNode) {
    this.#node = node
    this.#port = Number(new URL(node.http[0] ?? '').port)
  }

  send(request: RawRequest): Promise<RawResponse> {
    return send('127.0.0.1', this.#port, request)
  }

  things(): Map<PlaceKey, Thing> {
    const { repositories } = this.#node
    const entries = repositories
      .list()
      .flatMap((repository) => [
        ...repositories.entries(repository),
        ...repositories.tags(repository).flatMap((tag) => repositories.tagEntries(repository, tag) ?? []),
      ])
    return new Map(entries.map((entry) => [placeKey(entry), thingOf(entry)]))
  }

  async putFile(place: Place, source: Place | undefined): Promise<void> {
    await this.#apply(place, { type: 'put', ...named(place), target: await this.#fileTarget(source) })
  }

  async putLink(place: Place, thing: Exclude<Thing, { kind: 'file' }>): Promise<void> {
    await this.#apply(place, { type: 'put', ...named(place), target: thing })
  }

  async remove(place: Place): Promise<void> {
    await this.#apply(place, { type: 'delete', ...named(place) })
  }

  async kindsIn(repository: string, name: string): Promise<ReadonlyMap<string, string>> {
    const entries = await this.#entries(repository, name)
    return new Map(entries.map(({ path, type }) => [path, type]))
  }

  async bytesIn(repository: string, name: string): Promise<number> {
    const files = (await this.#entries(repository, name)).filter(({ type }) => type === 'file')
    return files.reduce((sum, { size }) => sum + size, 0)
  }

  async #entries(repository: string, name: string) {
    const lines = (await this.#get('tree', repository, name)).split('\n').filter((line) => line !== '')
    return lines.map((line) => JSON.parse(line) as { path: string; type: string; size: number })
  }

  textIn(repository: string, name: string, path: string): Promise<string> {
    return this.#get('file', repository, name, `?path=${encodeURIComponent(path)}`)
  }

  async plantChunksOf(archive: string): Promise<void> {
    const codec = await createChunkCodec()
    const members = extract()
    createReadStream(archive).pipe(createGunzip()).pipe(members)
    for await (const member of members) {
      const parts: Uint8Array[] = []
      for await (const part of member) parts.push(part as Uint8Array)
      if (member.header.type !== 'file' || parts.length === 0) continue
      const { id, stored } = codec.encode(Buffer.concat(parts))
      await this.#node.database.chunks.write([{ id, bytes: stored }])
    }
  }

  stop(): Promise<void> {
    return this.#node.stop()
  }

  async #get(view: 'tree' | 'file', repository: string, name: string, query = ''): Promise<string> {
    const path = `/api/v1/${view}/${encodeURIComponent(repository)}/${encodeURIComponent(name)}${query}`
    const headers = { Host: 'localhost', Connection: 'close' }
    const { status, body } = await this.send({ method: 'GET', path, headers, body: Buffer.alloc(0) })
    return status === 200 ? body.toString('utf8') : ''
  }

  async #apply({ repository }: Place, change: Change): Promise<void> {
    await this.#node.repositories.apply(repository, [change], BY_HAND)
  }

  /** The content of `source`; without one, any: nobody reads it, but a name shows only when its flist is here. */
  async #fileTarget(source: Place | undefined): Promise<Target> {
    if (source === undefined) {
      const flist = await this.#node.flists.put(ANY_CONTENT, UNHELD)
      return { kind: 'file', flist, sizeBytes: 1024, md5: '0'.repeat(32) }
    }
    const target = this.#node.repositories.find(source.repository, source.name)?.target
    if (target?.kind !== 'file') throw new Error(`${placeKey(source)} is no file to copy`)
    return target
  }
}

const ANY_CONTENT = { format: 'zflist', bytes: new Uint8Array(1024), chunkIds: [], files: 0 } as const
/** No collector runs meanwhile. */
const UNHELD = { holdChunks() {}, holdFlist() {}, release() {} }

function named({ name, tag }: Place): { name: string; tag?: string } {
  return tag === undefined ? { name } : { name, tag }
}

function thingOf({ target }: Entry): Thing {
  return target.kind === 'file' ? { kind: 'file', sizeBytes: target.sizeBytes } : target
}
