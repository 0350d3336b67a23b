import type { Entry } from './entry.ts'

/** Entries by name and in byte order of names. What it hands out never changes afterwards. */
export class EntryList {
  readonly #byName = new Map<string, Entry>()
  #sorted: Entry[] = []
  /** The array was given away: change a copy. */
  #isShared = false

  get size(): number {
    return this.#sorted.length
  }

  get(name: string): Entry | undefined {
    return this.#byName.get(name)
  }

  /** In byte order of name. */
  entries(): readonly Entry[] {
    this.#isShared = true
    return this.#sorted
  }

  /** About 0.1 ms among 100,000; appending in order, as at start, costs nothing. */
  set(entry: Entry): void {
    const at = this.#indexOf(entry.name)
    const sorted = this.#own()
    if (at === sorted.length) sorted.push(entry)
    else sorted.splice(at, this.#byName.has(entry.name) ? 1 : 0, entry)
    this.#byName.set(entry.name, entry)
  }

  delete(name: string): void {
    if (!this.#byName.delete(name)) return
    this.#own().splice(this.#indexOf(name), 1)
  }

  #own(): Entry[] {
    if (this.#isShared) {
      this.#sorted = this.#sorted.slice()
      this.#isShared = false
    }
    return this.#sorted
  }

  /** Where `name` is, or belongs. */
  #indexOf(name: string): number {
    const last = this.#sorted.at(-1)
    if (last === undefined || compareNames(last.name, name) < 0) return this.#sorted.length
    let low = 0
    let high = this.#sorted.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      const entry = this.#sorted[middle]
      if (entry !== undefined && compareNames(entry.name, name) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** What lists and reads of one repository see. */
export class RepositoryView {
  readonly #files = new EntryList()
  readonly #tags = new Map<string, EntryList>()
  #tagNames: readonly string[] | undefined = []

  set(entry: Entry): void {
    if (entry.tag === undefined) {
      this.#files.set(entry)
      return
    }
    let list = this.#tags.get(entry.tag)
    if (list === undefined) {
      this.#tags.set(entry.tag, (list = new EntryList()))
      this.#tagNames = undefined
    }
    list.set(entry)
  }

  /** A tag goes with its last entry. */
  delete(name: string, tag: string | undefined): void {
    if (tag === undefined) {
      this.#files.delete(name)
      return
    }
    const list = this.#tags.get(tag)
    list?.delete(name)
    if (list?.size === 0) {
      this.#tags.delete(tag)
      this.#tagNames = undefined
    }
  }

  find(name: string, tag: string | undefined): Entry | undefined {
    return (tag === undefined ? this.#files : this.#tags.get(tag))?.get(name)
  }

  entries(): readonly Entry[] {
    return this.#files.entries()
  }

  tags(): readonly string[] {
    this.#tagNames ??= [...this.#tags.keys()].sort(compareNames)
    return this.#tagNames
  }

  tagEntries(tag: string): readonly Entry[] | undefined {
    return this.#tags.get(tag)?.entries()
  }
}

/** Order of the UTF-8 bytes, which is that of code points and not that of JavaScript's `<`. */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at)
    const right = b.charCodeAt(at)
    if (left !== right) return weight(left) - weight(right)
  }
  return a.length - b.length
}

/** Surrogates stand for code points over U+FFFF, but are smaller than U+E000 to U+FFFF. */
function weight(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
