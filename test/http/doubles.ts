/** A node without disks or workers: repositories, flists, chunks and readers in memory, each as simple as its port allows. */
import type { Descriptor } from '../../src/format/descriptor.ts'
import { createHash, randomBytes } from 'node:crypto'
import { formatBackend, type ChunkAddress } from '../../src/flist/metadata.ts'
import type { SurveyAnswer } from '../../src/flist/inspector-protocol.ts'
import type { FlistInspector } from '../../src/flist/inspector.ts'
import type { MergedFlist } from '../../src/flist/merge.ts'
import type { FlistToMerge } from '../../src/flist/merger.ts'
import type { Ingest } from '../../src/http/flist-ports.ts'
import { countsView } from '../../src/http/flist-views.ts'
import { pythonJson } from '../../src/http/python.ts'
import type { ChunkCodec } from '../../src/format/chunk-codec.ts'
import type { HttpDeps, SiteOptions, TokenBook } from '../../src/http/deps.ts'
import { MalformedError, UnauthorizedError, UnavailableError } from '../../src/errors.ts'
import type { FlistCounts } from '../../src/flist/entry.ts'
import type { Change, Entry, Repositories, Resolved, User } from '../../src/repo/entry.ts'
import type { ChunkSource, ChunkStore } from '../../src/store/chunk-store.ts'
import type { FlistStore, Leases } from '../../src/store/flist-store.ts'
import { ALONE, type PeerReport, type Replicated, type RepositoryReport } from '../../src/sync/replicated.ts'
import { toHex, toUtf8 } from '../../src/util/bytes.ts'
import { SILENT } from '../../src/util/logger.ts'

export class FakeRepositories implements Repositories {
  readonly #repositories = new Map<string, Map<string, Entry>>()
  readonly applied: Array<{ repository: string; changes: readonly Change[]; user: User }> = []
  totalRevision = 0
  now = 1_700_000_000

  list(): string[] {
    return [...this.#repositories.keys()].sort()
  }
  has(repository: string): boolean {
    return this.#repositories.has(repository)
  }
  updatedS(): number {
    return this.now
  }
  revision(): number {
    return this.totalRevision
  }
  entries(repository: string): Entry[] {
    return this.#all(repository).filter(({ tag }) => tag === undefined)
  }
  tags(repository: string): string[] {
    const tags = this.#all(repository).flatMap(({ tag }) => (tag === undefined ? [] : [tag]))
    return [...new Set(tags)].sort()
  }
  tagEntries(repository: string, wanted: string): Entry[] | undefined {
    const entries = this.#all(repository).filter(({ tag }) => tag === wanted)
    return entries.length === 0 ? undefined : entries
  }
  find(repository: string, name: string, tag?: string): Entry | undefined {
    return this.#repositories.get(repository)?.get(keyOf(name, tag))
  }
  pending(): undefined {
    return undefined
  }
  resolve(repository: string, name: string, tag?: string, depth = 0): Resolved | undefined {
    const entry = this.find(repository, name, tag)
    if (entry === undefined || depth > 8) return undefined
    const { target } = entry
    if (target.kind === 'file') return { entry, target }
    if (target.kind === 'link') return this.resolve(repository, target.name, undefined, depth + 1)
    if (target.kind === 'taglink') return undefined
    return this.resolve(target.repository, target.name, undefined, depth + 1)
  }
  history(): Promise<[]> {
    return Promise.resolve([])
  }
  settled(): Promise<[]> {
    return Promise.resolve([])
  }
  apply(repository: string, changes: readonly Change[], user: User): Promise<Entry[]> {
    this.applied.push({ repository, changes, user })
    const entries = this.#repositories.get(repository) ?? new Map<string, Entry>()
    this.#repositories.set(repository, entries)
    this.totalRevision++
    for (const change of changes) {
      const { name, tag } = change
      if (change.type === 'delete') entries.delete(keyOf(name, tag))
      else {
        entries.set(keyOf(name, tag), {
          repository,
          name,
          ...(tag === undefined ? {} : { tag }),
          target: change.target,
          updatedS: change.updatedS ?? this.now,
          operation: randomBytes(32),
          conflicts: 0,
        })
      }
    }
    return Promise.resolve([])
  }
  #all(repository: string): Entry[] {
    const entries = [...(this.#repositories.get(repository)?.values() ?? [])]
    return entries.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
  }
}

function keyOf(name: string, tag: string | undefined): string {
  return `${tag ?? ''}/${name}`
}

export const NO_COUNTS: FlistCounts = {
  regular: 0,
  symlink: 0,
  directory: 0,
  special: 0,
  failure: 0,
  fullSize: 0,
}

/** Flists are JSON here: `{"fake": true, "metadata": {…}, "content": […], "chunks": […]}`. */
export class FakeInspector {
  renderings = 0

  async survey(bytes: Uint8Array): Promise<SurveyAnswer> {
    const { content = [], chunks = [] } = await parse(bytes)
    const dump = new Uint8Array(Buffer.from(pythonJson({ content, ...countsView(NO_COUNTS) })))
    const chunkIds = new Uint8Array(Buffer.from(chunks.join(''), 'hex'))
    const blocks = new Uint8Array(Buffer.from(chunks.map((id) => id + id + '00000001').join(''), 'hex'))
    const metadata = await this.metadata(bytes)
    return { counts: NO_COUNTS, dump, chunkIds, blocks, metadata, problems: [], brokenFiles: 0 }
  }
  async metadata(bytes: Uint8Array): Promise<Array<[string, string]>> {
    return Object.entries((await parse(bytes)).metadata ?? {})
  }
  async render(bytes: Uint8Array, { backend }: { backend: ChunkAddress | null }): Promise<Uint8Array> {
    this.renderings++
    const flist = await parse(bytes)
    const metadata = {
      ...flist.metadata,
      backend: formatBackend(backend ?? { namespace: '', host: '', port: 0 }),
    }
    return Buffer.from(JSON.stringify({ ...flist, metadata }))
  }
  canonical(bytes: Uint8Array): Promise<Uint8Array> {
    return Promise.resolve(bytes)
  }
  verify(): Promise<[]> {
    return Promise.resolve([])
  }
  find(): Promise<undefined> {
    return Promise.resolve(undefined)
  }
  async *entries(): AsyncGenerator<never> {}
}

/** The content of all sources, one behind the other, and the metadata of the first. */
export class FakeMerger {
  async merge(sources: AsyncIterable<FlistToMerge>): Promise<MergedFlist> {
    let first: FakeFlist | undefined
    const content: Array<{ size: number; path: string }> = []
    for await (const { bytes } of sources) {
      const flist = await parse(bytes)
      first ??= flist
      content.push(...(flist.content ?? []))
    }
    const bytes = Buffer.from(JSON.stringify({ fake: true, metadata: first?.metadata, content }))
    return { bytes, counts: NO_COUNTS, chunkIds: new Uint8Array() }
  }
}

interface FakeFlist {
  readonly fake: true
  readonly metadata?: Record<string, string>
  readonly content?: Array<{ size: number; path: string }>
  readonly chunks?: string[]
}

async function parse(bytes: Uint8Array): Promise<FakeFlist> {
  const text = toUtf8(bytes)
  if (!text.startsWith('{"fake"')) throw new MalformedError('flist', 'not a flist')
  return JSON.parse(text) as FakeFlist
}

export class FakeFlists implements FlistStore {
  readonly #flists = new Map<string, Uint8Array>()

  put(flist: { readonly bytes: Uint8Array }): Promise<Uint8Array> {
    const id = createHash('sha256').update(flist.bytes).digest()
    this.#flists.set(toHex(id), flist.bytes)
    return Promise.resolve(id)
  }
  descriptor(id: Uint8Array): Descriptor | undefined {
    const bytes = this.#flists.get(toHex(id))
    if (bytes === undefined) return undefined
    const nothing = { parts: [], chunks: [], nChunks: 0, bytes: 0, files: 0 }
    return { v: 1, fmt: 'zflist', size: bytes.length, sha256: id, md5: new Uint8Array(16), ...nothing }
  }
  read(id: Uint8Array): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#flists.get(toHex(id)))
  }
  chunkIds(): Promise<Uint8Array[]> {
    return Promise.resolve([])
  }
  async *ids(): AsyncGenerator<Uint8Array> {}
  delete(id: Uint8Array): Promise<void> {
    this.#flists.delete(toHex(id))
    return Promise.resolve()
  }
}

/** Tokens are `sig` and a user name; anything else proves nothing. */
export class FakeTokens implements TokenBook {
  verify(token: string): string {
    if (token === 'broken') throw new MalformedError('token', 'a signed token is no JSON')
    if (token === 'old') throw new UnauthorizedError('token expired')
    if (!token.startsWith('sig-')) throw new UnauthorizedError('invalid signature')
    return token.slice(4)
  }
  issue(user: string, ttlS = 0) {
    const expiresS = ttlS === 0 ? undefined : ttlS
    return Promise.resolve({
      id: 'f'.repeat(16),
      user,
      createdS: 1,
      expiresS,
      revoked: false,
      token: `sig-${user}`,
    })
  }
  list() {
    return Promise.resolve([])
  }
  revoke() {
    return Promise.resolve([])
  }
}

/** `jwt.<username>.<accounts, comma list>`. */
function fakeJwt(token: string) {
  const [kind, username = '', accounts = ''] = token.split('.')
  if (kind !== 'jwt') throw new UnauthorizedError('invalid token')
  return { username, accounts: [username, ...accounts.split(',')] }
}

/** What the archive "contains" is its bytes, once they are all in. */
export function fakeIngest(store: { archives: Buffer[] }): Ingest {
  return async (archive, { metadata }) => {
    const pieces: Uint8Array[] = []
    for await (const piece of archive) {
      pieces.push(piece)
      if (toUtf8(piece).startsWith('BAD')) throw new MalformedError('tar', 'not an archive: BAD at byte 0')
    }
    const bytes = Buffer.concat(pieces)
    store.archives.push(bytes)
    const flist = {
      fake: true,
      metadata: Object.fromEntries(metadata()),
      content: [{ size: bytes.length, path: '/é' }],
    }
    return {
      flist: { format: 'zflist', bytes: Buffer.from(JSON.stringify(flist)), chunkIds: [], files: 1 },
      counts: { ...NO_COUNTS, regular: 1, fullSize: bytes.length },
    }
  }
}

/** Peers that have flists and chunks, or have not; what they send is kept as a fetch keeps it. */
export class FakePeers implements Replicated {
  readonly isShared = true
  readonly addresses = ['/ip4/192.0.2.1/tcp/9901/p2p/12D3']
  /** Bytes of flists, by hex id. */
  readonly flists = new Map<string, Uint8Array>()
  readonly blocks = new Map<string, Uint8Array>()
  readonly complete = new Set<string>()
  readonly fetched: string[] = []
  reports: PeerReport[] = []
  held: RepositoryReport[] = []
  ageS = 0
  readonly #store: Pick<FlistStore, 'put'>

  constructor(store: Pick<FlistStore, 'put'>) {
    this.#store = store
  }

  peers(): PeerReport[] {
    return this.reports
  }
  repositories(): Promise<RepositoryReport[]> {
    return Promise.resolve(this.held)
  }
  frontierAgeS(): number {
    return this.ageS
  }
  isComplete(flist: Uint8Array): boolean {
    return this.complete.has(toHex(flist))
  }
  async fetchFlist(flist: Uint8Array): Promise<void> {
    this.fetched.push(toHex(flist))
    const bytes = this.flists.get(toHex(flist))
    if (bytes === undefined) throw new UnavailableError('no peer has this flist')
    const lease = { holdChunks() {}, holdFlist() {}, release() {} }
    await this.#store.put({ format: 'zflist', bytes, chunkIds: [], files: 1 }, lease)
  }
  readonly chunks: ChunkSource = { get: (id) => Promise.resolve(this.blocks.get(toHex(id))) }
  metrics() {
    return [
      { name: 'zhub_peer_lag', help: 'Operations', value: 3, labels: { peer: 'ab' } },
      { name: 'zhub_peer_lag', help: 'Operations', value: 4, labels: { peer: 'cd' } },
    ]
  }
}

export interface FakeNode extends HttpDeps {
  readonly repositories: FakeRepositories
  readonly flists: FakeFlists
  readonly inspector: FakeInspector & FlistInspector
  readonly chunkBytes: Map<string, Uint8Array>
  readonly archives: Buffer[]
}

export function fakeNode(): FakeNode {
  const chunkBytes = new Map<string, Uint8Array>()
  const store = { archives: [] as Buffer[] }
  const chunks: Partial<ChunkStore> = {
    read: (id) => chunkBytes.get(toHex(id)),
    info: (id) => {
      const bytes = chunkBytes.get(toHex(id))
      return bytes && { lengthBytes: bytes.length, sha256: new Uint8Array(32), usedAtS: 0 }
    },
  }
  const lease = { holdChunks() {}, holdFlist() {}, release() {} }
  const leases: Partial<Leases> = { open: () => lease, holdUntil: () => Promise.resolve() }
  const done = () => Promise.resolve({})
  return {
    repositories: new FakeRepositories(),
    flists: new FakeFlists(),
    inspector: new FakeInspector() as FakeInspector & FlistInspector,
    merger: new FakeMerger(),
    codec: {} as ChunkCodec,
    isMember: () => false,
    chunks: chunks as ChunkStore,
    leases: leases as Leases,
    replicated: ALONE,
    purges: {
      isPurged: () => false,
      purge: () => Promise.reject(new Error('nothing is purged here')),
      discard: () => Promise.resolve(),
    },
    space: { require: () => Promise.resolve() },
    receiver: {
      receive: (id, bytes) => {
        const isNew = !chunkBytes.has(toHex(id))
        chunkBytes.set(toHex(id), bytes)
        return Promise.resolve(isNew)
      },
    },
    ingest: fakeIngest(store),
    ingestLayers: () => Promise.reject(new Error('no images here')),
    images: {
      pull: () => Promise.reject(new Error('no images here')),
      openArchive: () => Promise.reject(new Error('no images here')),
    },
    tokens: new FakeTokens(),
    jwts: { verify: fakeJwt },
    realm: {
      status: () => ({ realm: '00', members: [] }),
      create: done,
      invite: done,
      join: done,
      leave: done,
      cut: done,
      uncut: done,
      addAdmin: done,
      rotate: done,
    },
    operator: { fsck: done, scrub: done, collect: done, backup: done },
    status: () => ({ version: '0' }),
    log: SILENT,
    chunkBytes,
    archives: store.archives,
  }
}

export const SITE: SiteOptions = {
  publicUrl: 'http://hub.example.test',
  publicChunks: { namespace: 'default', host: 'hub.example.test', port: 9900 },
  flistBackend: 'auto',
  auth: true,
  readonly: false,
  guestToken: 'guest.token.with.dots',
  usersMap: new Map([['official-apps', 'tfofficial.3bot']]),
  official: ['alice'],
  limits: { uploads: 2, maxUploadBytes: 1 << 20, maxFlistBytes: 1 << 16 },
  cacheBytes: 1 << 20,
  version: '0.0.0',
  operatorName: 'root',
}
