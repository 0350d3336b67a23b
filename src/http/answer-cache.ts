import type { Repositories } from '../repo/entry.ts'
import { LruCache } from '../util/lru.ts'
import type { Answer } from './answer.ts'

/** What an entry costs beside its body. */
const ENTRY_BYTES = 512

/**
 * Answers that stay right until any repository changes, by the exact URL. A booting node asks for the whole list
 * before each URL, so the same few are asked for over and over.
 */
export class AnswerCache {
  readonly #repositories: Repositories
  readonly #answers: LruCache<Answer>
  #revision = -1

  constructor(repositories: Repositories, maxBytes: number) {
    this.#repositories = repositories
    this.#answers = new LruCache(maxBytes)
  }

  get(url: string): Answer | undefined {
    if (this.#repositories.totalRevision !== this.#revision) return undefined
    return this.#answers.get(url)
  }

  /** Keeps an answer that was begun at `revision`; one that a change overtook is not kept. */
  set(url: string, answer: Answer, revision: number): void {
    if (this.#repositories.totalRevision !== revision || !Buffer.isBuffer(answer.body)) return
    if (this.#revision !== revision) this.#answers.clear()
    this.#revision = revision
    this.#answers.set(url, answer, answer.body.length + ENTRY_BYTES + 2 * url.length)
  }
}
