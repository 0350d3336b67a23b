/** What the HTTP side presents: the parts of the node it is given, and the settings that concern it. */
import type { ChunkCodec } from '../format/chunk-codec.ts'
import type { ChunkAddress } from '../flist/metadata.ts'
import type { FlistInspector } from '../flist/inspector.ts'
import type { ImageSource, Ingest, IngestLayers, Merger } from './flist-ports.ts'
import type { Repositories, User } from '../repo/entry.ts'
import type { ThreeBotLogin } from '../repo/three-bot-login.ts'
import type { Tokens } from '../repo/tokens.ts'
import type { ChunkStore } from '../store/chunk-store.ts'
import type { FlistId, FlistStore, Leases } from '../store/flist-store.ts'
import type { Replicated } from '../sync/replicated.ts'
import type { Logger } from '../util/logger.ts'
import type { AbortOptions } from '../util/units.ts'

/** Unix milliseconds. */
export type Clock = () => number

/** Who a token proves, and the making and revoking of tokens. */
export type TokenBook = Pick<Tokens, 'verify' | 'issue' | 'list' | 'revoke'>

/** Who a JSON web token proves. */
export interface JwtBook {
  /** @throws {UnauthorizedError} `invalid token`. */
  verify(token: string): { readonly username: string; readonly accounts: readonly string[] }
}

export interface Progress {
  readonly done: number
  readonly total?: number | undefined
  readonly unit: string
}

export interface LongOptions extends AbortOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** Jobs of the node's owner; results go out as JSON as they are. */
export interface Operator {
  fsck(options: LongOptions): Promise<unknown>
  scrub(options: LongOptions): Promise<unknown>
  collect(
    settings: { readonly graceS?: number; readonly keepVersions?: number; readonly dryRun?: boolean },
    options: LongOptions,
  ): Promise<unknown>
  /** `directory` is absolute. */
  backup(directory: string, options: LongOptions): Promise<unknown>
}

/** What a purge removed on this node, and what it could not. */
export interface PurgeReport {
  /** `repo/name` of all that showed it. */
  readonly names: readonly string[]
  readonly chunks: number
  readonly bytes: number
  /** Chunks that stay, because other flists or uploads have them. */
  readonly kept: number
}

/** What must not exist on any node of the realm. */
export interface Purges {
  isPurged(flist: FlistId): boolean
  /** Removes a flist for good, everywhere; once begun, it is done. @throws {ForbiddenError} where this node may not. */
  purge(flist: FlistId, user: User): Promise<PurgeReport>
  /** Drops chunks at once that nothing has and nobody holds: they came with a flist that was refused. */
  discard(chunkIds: readonly Uint8Array[]): Promise<void>
}

/** The realm of the node; answers go out as JSON as they are. */
export interface RealmOperator {
  /** What everybody may know. */
  status(): object
  /** `node`: what this one is called there. */
  create(named: {
    readonly name?: string | undefined
    readonly node?: string | undefined
    readonly addresses?: readonly string[]
  }): Promise<object>
  invite(addresses: readonly string[]): Promise<object>
  join(how: { readonly invite: string; readonly node?: string | undefined }): Promise<object>
  leave(): Promise<object>
  /** By name, or the first digits of the key; as the next two. */
  cut(node: string): Promise<object>
  uncut(node: string): Promise<object>
  addAdmin(node: string): Promise<object>
  rotate(): Promise<object>
}

/** Verified bytes of strangers on their way into the store. */
export interface ChunkReceiver {
  /** Resolves to false when the chunk was known. @throws {InvalidInputError} when `bytes` do not hash to `id`. */
  receive(id: Uint8Array, bytes: Uint8Array): Promise<boolean>
}

/** The low-water mark of the disk, below which nothing is stored. */
export interface DiskSpace {
  /** @throws {DiskFullError} when storing `bytes` would leave less than the mark. */
  require(bytes: number): Promise<void>
}

export interface HttpDeps {
  readonly repositories: Repositories
  readonly flists: FlistStore
  readonly chunks: ChunkStore
  readonly receiver: ChunkReceiver
  readonly space: DiskSpace
  readonly leases: Leases
  readonly replicated: Replicated
  readonly purges: Purges
  readonly inspector: FlistInspector
  readonly codec: ChunkCodec
  /** Is this the chunk address of a member of the realm? Stored flists never carry one. */
  readonly isMember: (address: ChunkAddress) => boolean
  readonly ingest: Ingest
  readonly ingestLayers: IngestLayers
  readonly images: ImageSource
  readonly merger: Merger
  readonly tokens: TokenBook
  readonly jwts: JwtBook
  /** Absent where no login server is set. */
  readonly threeBot?: ThreeBotLogin | undefined
  readonly operator: Operator
  readonly realm: RealmOperator
  /** @throws {ForbiddenError} where what this node signs counts nowhere: it was cut. */
  readonly requireStanding?: () => void
  /** The body of `GET /api/v1/status`. */
  readonly status: () => Promise<object> | object
  readonly log: Logger
  readonly clock?: Clock
}

export interface SiteOptions {
  /** How clients reach the API: no trailing slash. */
  readonly publicUrl: string
  /** This node's public chunk address; `undefined` = served flists get none. */
  readonly publicChunks: ChunkAddress | undefined
  readonly flistBackend: 'auto' | 'local' | 'keep'
  /** False: everybody is Administrator. */
  readonly auth: boolean
  readonly readonly: boolean
  readonly guestToken?: string | undefined
  /** Virtual user → 3bot name. */
  readonly usersMap: ReadonlyMap<string, string>
  readonly official: readonly string[]
  readonly limits: {
    /** Archives taken in at once. */
    readonly uploads: number
    readonly maxUploadBytes: number
    readonly maxFlistBytes: number
  }
  /** Memory for served flists, lists and dumps. */
  readonly cacheBytes: number
  readonly version: string
  /** OS user that the control socket speaks for. */
  readonly operatorName: string
}
