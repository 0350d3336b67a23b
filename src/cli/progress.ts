/** How far a long command is: a bar that is drawn over itself on a terminal, a plain line now and then elsewhere. */
import { formatSize } from '../util/parse.ts'
import { SECOND_MS } from '../util/units.ts'
import type { Output } from './output.ts'

/** How often a terminal is drawn, and how often a log gets a line. */
const DRAW_EVERY_MS = 100
const LINE_EVERY_MS = 5 * SECOND_MS
const MAX_BAR_CHARACTERS = 24
const MIN_BAR_CHARACTERS = 6
const GAP = '  '

export interface ProgressOptions {
  /** What is being done, one word: `upload`. */
  readonly label: string
  /** `bytes` are written as sizes with a rate. */
  readonly unit: string
  readonly total?: number | undefined
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number
}

export class Progress {
  readonly #output: Output
  readonly #label: string
  readonly #now: () => number
  readonly #startedMs: number
  #unit: string
  #total: number | undefined
  #done = 0
  #shownMs: number
  #drawn = false

  constructor(output: Output, { label, unit, total, now = () => performance.now() }: ProgressOptions) {
    this.#output = output
    this.#label = label
    this.#unit = unit
    this.#total = total
    this.#now = now
    this.#startedMs = now()
    this.#shownMs = this.#startedMs
  }

  add(amount: number): void {
    this.#done += amount
    this.#show()
  }

  set(done: number, total: number | null = null, unit = this.#unit): void {
    this.#done = done
    this.#total = total ?? this.#total
    this.#unit = unit
    this.#show()
  }

  /** Clears the bar; lines that were written stay. */
  end(): void {
    if (this.#drawn) this.#write('\r\u001b[K')
    this.#drawn = false
  }

  /** The bytes of `source`, counted as they pass. */
  async *counted(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      yield piece
      this.add(piece.length)
    }
  }

  #show(): void {
    const now = this.#now()
    const { isTerminal, columns } = this.#output
    if (now - this.#shownMs < (isTerminal ? DRAW_EVERY_MS : LINE_EVERY_MS)) return
    this.#shownMs = now
    const facts = progressFacts(this.#unit, this.#done, this.#total, now - this.#startedMs)
    this.#drawn = isTerminal
    if (isTerminal) this.#write(`\r${barLine(this.#label, facts, columns - 1)}\u001b[K`)
    else this.#write([this.#label, ...facts.texts].join(GAP) + '\n')
  }

  /** Progress that nobody can read is no reason to stop the work. */
  #write(text: string): void {
    this.#output.write(text).catch(() => {})
  }
}

export interface ProgressFacts {
  /** 0…1, when the whole is known. */
  readonly share: number | undefined
  readonly texts: readonly string[]
}

export function progressFacts(
  unit: string,
  done: number,
  total: number | undefined,
  elapsedMs: number,
): ProgressFacts {
  const perSecond = elapsedMs > 0 ? (done / elapsedMs) * SECOND_MS : 0
  const rate = unit === 'bytes' ? [`${formatSize(perSecond)}/s`] : []
  if (total === undefined || total <= 0) return { share: undefined, texts: [amount(unit, done), ...rate] }
  const share = Math.min(1, done / total)
  const texts = [`${Math.floor(share * 100)}%`, `${amount(unit, done)} of ${amount(unit, total)}`, ...rate]
  if (perSecond > 0 && done < total) texts.push(`${clock((total - done) / perSecond)} left`)
  return { share, texts }
}

/** One line of at most `columns` characters; the bar has what the facts leave it. */
export function barLine(label: string, { share, texts }: ProgressFacts, columns: number): string {
  const bare = [label, ...texts].join(GAP)
  const room = Math.min(MAX_BAR_CHARACTERS, columns - bare.length - GAP.length - 2)
  if (share === undefined || room < MIN_BAR_CHARACTERS) return bare.slice(0, columns)
  const full = Math.round(share * room)
  const bar = `[${'#'.repeat(full)}${'-'.repeat(room - full)}]`
  return [label, bar, ...texts].join(GAP)
}

function amount(unit: string, count: number): string {
  return unit === 'bytes' ? formatSize(count) : `${count} ${unit}`
}

/** `0:07`, `12:30`, `1:00:00` */
function clock(seconds: number): string {
  const whole = Math.ceil(seconds)
  const minutes = Math.floor(whole / 60) % 60
  const hours = Math.floor(whole / 3600)
  const tail = `${String(whole % 60).padStart(2, '0')}`
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`
}
