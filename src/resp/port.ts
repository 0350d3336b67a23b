import type { ChunkSource, ChunkStore } from '../store/chunk-store.ts'
import type { RespCounters } from './counters.ts'
import type { HotChunks } from './hot-chunks.ts'
import type { PasswordGate } from './password-gate.ts'
import type { Answer } from './reply.ts'
import type { UseLog } from './use-log.ts'

/** What every command of the port works on. */
export interface Port {
  readonly chunks: ChunkStore
  readonly hot: HotChunks
  /** Asked for chunks that are not here; what it answers is taken as verified. */
  readonly remote: ChunkSource | undefined
  readonly uses: UseLog
  readonly gate: PasswordGate
  readonly counters: RespCounters
  /** Nobody may write. */
  readonly isReadonly: boolean
  /** Unix milliseconds. */
  readonly clock: () => number
  readonly startedAtMs: number
}

/** What the port knows of one connection. */
export interface Session {
  /** Whom wrong passwords count against. */
  readonly guessSource: string
  /** By AUTH; lasts as long as the connection, as with 0-db. */
  isAdmin: boolean
  /** By SELECT with the password; a SELECT without takes it back. */
  hasSelectedForWriting: boolean
  /** Wrong passwords so far. */
  failures: number
  /** Aborted when the connection is gone. */
  readonly signal: AbortSignal
}

export function isAuthenticated(session: Session): boolean {
  return session.isAdmin || session.hasSelectedForWriting
}

/** One command: `args` with its name first. */
export type Command = (args: readonly Uint8Array[], session: Session, port: Port) => Answer
