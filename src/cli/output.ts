/** Where a command writes: waits for a slow reader, and takes a reader that left for one that has had enough. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'

export interface Output {
  readonly isTerminal: boolean
  /** Characters of a terminal's line; 80 where there is none. */
  readonly columns: number
  /** Resolves when there is room for more. @throws {ReaderGoneError} when nobody reads any more. */
  write(content: string | Uint8Array): Promise<void>
}

/** The other end of stdout was closed: the command ends quietly. */
export class ReaderGoneError extends Error {
  override readonly name = 'ReaderGoneError'
}

export type TerminalStream = Writable & { readonly isTTY?: boolean; readonly columns?: number }

export class StreamOutput implements Output {
  readonly #stream: TerminalStream
  readonly #signal: AbortSignal
  #failure: Error | undefined

  constructor(stream: TerminalStream, signal: AbortSignal) {
    this.#stream = stream
    this.#signal = signal
    stream.on('error', (error: NodeJS.ErrnoException) => {
      this.#failure ??= error.code === 'EPIPE' ? new ReaderGoneError('nobody reads', { cause: error }) : error
    })
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true
  }

  get columns(): number {
    return this.#stream.columns ?? 80
  }

  async write(content: string | Uint8Array): Promise<void> {
    this.#check()
    if (!this.#stream.write(content) && !this.#stream.destroyed) {
      await once(this.#stream, 'drain', { signal: this.#signal }).catch(() => {}) // told by what follows
      this.#signal.throwIfAborted()
    }
    this.#check()
  }

  /** Resolves when everything written is with the reader, or nobody waits for that any more. */
  async flush(): Promise<void> {
    if (this.#stream.writableLength > 0 && !this.#signal.aborted) {
      const written = new Promise<void>((resolve) => this.#stream.write('', () => resolve()))
      await Promise.race([written, once(this.#signal, 'abort')])
    }
    this.#check()
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure
  }
}

/** The one document of `--json`. */
export function writeJson(output: Output, document: unknown): Promise<void> {
  return output.write(JSON.stringify(document) + '\n')
}

/** Rows in aligned columns, two spaces between; the head only for people. */
export async function writeTable(
  output: Output,
  head: readonly string[],
  rows: ReadonlyArray<readonly string[]>,
): Promise<void> {
  if (rows.length === 0) return
  const shown = (output.isTerminal ? [head, ...rows] : rows).map((row) => row.map(printable))
  const widths = head.map((_, column) => Math.max(...shown.map((row) => row[column]?.length ?? 0)))
  const lines = shown.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  await output.write(lines.join('\n') + '\n')
}

/** Text of somebody else's on one line of a terminal: control characters, escape sequences among them, become `?`. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '?')
}

/** `2026-11-23 10:07:00Z`; for nothing, `otherwise`. */
export function formatTime(unixS: number | null | undefined, otherwise = '-'): string {
  if (typeof unixS !== 'number' || Number.isNaN(new Date(unixS * 1000).getTime())) return otherwise
  return new Date(unixS * 1000)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.000Z$/, 'Z')
}

/** `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`: the two largest units that say something. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return hours % 24 === 0 ? `${hours / 24} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** `1 file`, `2 files`; `plural` where an s is not enough. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`
}
