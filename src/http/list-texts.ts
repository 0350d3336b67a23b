import type { Repositories } from '../repo/entry.ts'
import { LruCache } from '../util/lru.ts'
import { pathsOf, repositoryList } from './listing.ts'
import { pythonJson, quote } from './python.ts'

interface Kept {
  readonly revision: number
  readonly text: string
}

/**
 * The lists of the standard API as text, repository by repository: a change of one repository costs the others
 * nothing, however long the list of everything is.
 */
export class ListTexts {
  readonly #repositories: Repositories
  readonly #kept: LruCache<Kept>

  constructor(repositories: Repositories, maxBytes: number) {
    this.#repositories = repositories
    this.#kept = new LruCache(maxBytes)
  }

  /** `/api/flist`. */
  everyPath(): string {
    const lists = this.#repositories.list().map((name) => this.#paths(name))
    return `[${lists.filter((text) => text !== '').join(', ')}]`
  }

  /** `/api/fileslist`. */
  everyEntry(): string {
    const lists = this.#repositories.list().map((name) => `${quote(name)}: ${this.entries(name)}`)
    return `{${lists.join(', ')}}`
  }

  /** `/api/flist/<repository>`. Links may end in other repositories: then a change anywhere counts. */
  entries(repository: string): string {
    const { totalRevision } = this.#repositories
    const isLinked = this.#repositories
      .entries(repository)
      .some(({ target }) => target.kind === 'xlink' || target.kind === 'taglink')
    const revision = isLinked ? totalRevision : this.#repositories.revision(repository)
    return this.#text(`e ${repository}`, revision, () =>
      pythonJson(repositoryList(this.#repositories, repository)),
    )
  }

  #paths(repository: string): string {
    return this.#text(`p ${repository}`, this.#repositories.revision(repository), () =>
      pathsOf(this.#repositories, repository).map(quote).join(', '),
    )
  }

  #text(key: string, revision: number, build: () => string): string {
    const kept = this.#kept.get(key)
    if (kept?.revision === revision) return kept.text
    const text = build()
    this.#kept.set(key, { revision, text }, text.length + 2 * key.length + ENTRY_BYTES)
    return text
  }
}

/** What an entry costs beside its text. */
const ENTRY_BYTES = 200
