import { HubError } from '../errors.ts'
import { decodeHead } from '../format/head-hint.ts'
import type { HeadHint } from '../format/head-hint.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import { DAY_MS, SECOND_MS } from '../util/units.ts'

/** `ignore`: dropped, without blame for who passed it on; `reject`: nobody honest would have. */
export type Verdict =
  { readonly is: 'accepted'; readonly head: HeadHint } | { readonly is: 'ignore' } | { readonly is: 'reject' }

export interface HeadArrival {
  readonly bytes: Uint8Array
  /** Public key of who published it, and of who passed it on. */
  readonly author: Uint8Array | undefined
  readonly source: Uint8Array | undefined
}

export interface HeadFilterOptions {
  readonly realm: Uint8Array
  readonly isMember: (peer: Uint8Array) => boolean
  readonly now: () => number
}

/** Of one node; it sends one in two seconds. Replication.md 2.9, as the next. */
const MIN_PAUSE_MS = SECOND_MS
const MAX_SKEW_MS = DAY_MS

/** Which hints are believed and passed on. Remembers a time or two of each member, nothing else. */
export class HeadFilter {
  readonly #options: HeadFilterOptions
  readonly #last = new Map<string, { readonly headMs: number; readonly arrivedMs: number }>()

  constructor(options: HeadFilterOptions) {
    this.#options = options
  }

  judge({ bytes, author, source }: HeadArrival): Verdict {
    // Who was admitted a moment ago is a member elsewhere already: no blame.
    if (author === undefined || source === undefined || !this.#areMembers(author, source)) return IGNORE
    const last = this.#last.get(toHex(author)) ?? NEVER
    const nowMs = this.#options.now()
    if (nowMs - last.arrivedMs < MIN_PAUSE_MS) return equalBytes(author, source) ? REJECT : IGNORE
    const head = readHead(bytes)
    if (head === undefined || !this.#isOf(head, author)) return REJECT
    if (!this.#isTimely(head, last.headMs)) return IGNORE
    this.#last.set(toHex(author), { headMs: head.atMs, arrivedMs: nowMs })
    return { is: 'accepted', head }
  }

  #areMembers(...peers: Uint8Array[]): boolean {
    return peers.every((peer) => this.#options.isMember(peer))
  }

  #isOf({ realm, node }: HeadHint, author: Uint8Array): boolean {
    return equalBytes(realm, this.#options.realm) && equalBytes(node, author)
  }

  /** Of today, and none that somebody repeats. */
  #isTimely({ atMs }: HeadHint, lastMs: number): boolean {
    return Math.abs(atMs - this.#options.now()) <= MAX_SKEW_MS && atMs > lastMs
  }
}

const NEVER = { headMs: -1, arrivedMs: -Infinity }
const IGNORE: Verdict = { is: 'ignore' }
const REJECT: Verdict = { is: 'reject' }

function readHead(bytes: Uint8Array): HeadHint | undefined {
  try {
    return decodeHead(bytes)
  } catch (error) {
    if (error instanceof HubError) return undefined
    throw error
  }
}
