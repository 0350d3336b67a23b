import { MalformedError } from '../errors.ts'
import type { ArchiveEntry } from './archive-entry.ts'
import { isDirectory } from './archive-entry.ts'
import type { ArchiveTree } from './archive-tree.ts'
import { show } from './entry-name.ts'
import { joinPath, pathBytes, splitPath } from './member-path.ts'

type Layers = Pick<ArchiveTree, 'layerStarts' | 'rootFloor'>

/**
 * What layers leave to be seen, each name once: a whiteout hides its name in the layers before, an opaque directory
 * what those have in it, and whatever is no directory what lay below a directory of that name. `sorted` holds every
 * entry and mark, a directory before what is in it.
 * @throws {MalformedError} for a name that is a directory and something else in one layer.
 */
export async function* visibleEntries(
  sorted: AsyncIterable<readonly ArchiveEntry[]>,
  layers: Layers,
): AsyncGenerator<readonly ArchiveEntry[]> {
  const view = new LayerView(layers)
  let versions: ArchiveEntry[] = []
  for await (const entries of sorted) {
    const seen: ArchiveEntry[] = []
    for (const entry of entries) {
      const [first] = versions
      if (first !== undefined && (first.parent !== entry.parent || first.name !== entry.name)) {
        view.see(versions, seen)
        versions = []
      }
      versions.push(entry)
    }
    yield seen
  }
  const last: ArchiveEntry[] = []
  if (versions.length > 0) view.see(versions, last)
  yield last
}

class LayerView {
  readonly #layers: Layers
  /** Of directories in which more is hidden than in the one they lie in: the lowest order that is seen there. */
  readonly #floors = new Map<string, number>()
  #parent: string | undefined
  #floor = 0

  constructor(layers: Layers) {
    this.#layers = layers
    this.#floors.set('', layers.rootFloor)
  }

  /** All versions of one name, in order; the one that is seen goes to `seen`. */
  see(versions: readonly ArchiveEntry[], seen: ArchiveEntry[]): void {
    const [first] = versions
    if (first === undefined) return
    if (first.parent !== this.#parent) {
      this.#parent = first.parent
      this.#floor = this.#floorOf(first.parent)
    }
    let entry: ArchiveEntry | undefined
    let floor = this.#floor
    let mayHoldSomething = false
    for (const version of versions) {
      if (isDirectory(version)) mayHoldSomething = true
      else floor = Math.max(floor, version.order)
      if (version.order >= this.#floor) entry = this.#over(entry, version)
    }
    if (mayHoldSomething && floor > this.#floor) this.#floors.set(joinPath(first), floor)
    if (entry !== undefined) seen.push(entry)
  }

  #over(below: ArchiveEntry | undefined, above: ArchiveEntry): ArchiveEntry | undefined {
    if (above.kind === 'opaque') return below
    if (above.kind === 'whiteout') return below !== undefined && below.order < above.order ? undefined : below
    if (below === undefined) return above
    if (isDirectory(below) && above.kind === 'implied') return below
    if (isDirectory(below) !== isDirectory(above) && this.#areOfOneLayer(below, above)) {
      const path = show(pathBytes(joinPath(above)))
      throw new MalformedError('tar', `${path} is refused: it is a directory and something else in one layer`)
    }
    return above
  }

  #areOfOneLayer(a: ArchiveEntry, b: ArchiveEntry): boolean {
    const { layerStarts } = this.#layers
    return startOfLayer(layerStarts, a.order) === startOfLayer(layerStarts, b.order)
  }

  #floorOf(directory: string): number {
    for (let path = directory; ; path = splitPath(path).parent) {
      const floor = this.#floors.get(path)
      if (floor !== undefined) return floor
    }
  }
}

function startOfLayer(layerStarts: readonly number[], order: number): number {
  let [low, high] = [0, layerStarts.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((layerStarts[middle] ?? 0) <= order) low = middle + 1
    else high = middle
  }
  return layerStarts[low - 1] ?? 0
}

/** What stands in the way of hard links to members of layers before: marks, and what replaced a directory. */
export class HiddenTargets {
  /** Of each target: the orders of whiteouts of just that name. */
  readonly #whiteouts = new Map<string, number[]>()
  /** Of each directory that targets lie in: the orders below which things in it were hidden. */
  readonly #floors = new Map<string, number[]>()

  constructor(targets: Iterable<string>, { rootFloor }: Pick<Layers, 'rootFloor'>) {
    this.#floors.set('', [rootFloor])
    for (const target of targets) {
      this.#whiteouts.set(target, [])
      for (let path = parentOf(target); !this.#floors.has(path); path = parentOf(path))
        this.#floors.set(path, [])
    }
  }

  /** To be told of all entries and marks. */
  see(entry: ArchiveEntry): void {
    const path = joinPath(entry)
    if (entry.kind === 'whiteout') this.#whiteouts.get(path)?.push(entry.order)
    if (!isDirectory(entry)) this.#floors.get(path)?.push(entry.order)
  }

  /** Whether the version of `target` of that order was gone when the link of `linkOrder` came. */
  isHidden(target: string, order: number, linkOrder: number): boolean {
    const hides = (floor: number) => order < floor && floor <= linkOrder
    if (this.#whiteouts.get(target)?.some(hides) === true) return true
    for (let path = target; path !== '';) {
      path = parentOf(path)
      if (this.#floors.get(path)?.some(hides) === true) return true
    }
    return false
  }
}

function parentOf(path: string): string {
  return splitPath(path).parent
}
