import { MalformedError } from '../errors.ts'
import { show } from './entry-name.ts'
import { splitPath, type MemberPath } from './member-path.ts'
import type { ArchiveEntry } from './archive-entry.ts'

/** What a layer takes away of the layers below it. OCI image specification, layer.md, "Whiteouts". */
export interface LayerMark {
  /** `whiteout`: the path itself and all below it; `opaque`: only what lies in that directory. */
  readonly kind: 'whiteout' | 'opaque'
  readonly path: MemberPath
}

const PREFIX = '.wh.'
const OPAQUE = '.wh..wh..opq'
/** Names that AUFS kept for itself; layers of old engines carry them. */
const AUFS = '.wh..wh.'

/**
 * The mark that a member of a layer stands for; `undefined` for a member of the tree, `nothing` for one without a
 * meaning today.
 * @throws {MalformedError} for a mark that no engine would write.
 */
export function layerMark(entry: ArchiveEntry): LayerMark | 'nothing' | undefined {
  const { parent, name, sizeBytes } = entry
  const folder = parent.includes(PREFIX) ? markedFolder(parent) : undefined
  if (folder?.startsWith(AUFS) === true && sizeBytes === 0) return 'nothing'
  if (folder !== undefined) throw refused(entry, 'it lies in a whiteout')
  if (!name.startsWith(PREFIX)) return undefined
  if (sizeBytes > 0) throw refused(entry, 'a whiteout has no content')
  if (name === OPAQUE) return { kind: 'opaque', path: splitPath(parent) }
  return name.startsWith(AUFS) ? 'nothing' : { kind: 'whiteout', path: { parent, name: hiddenName(entry) } }
}

function hiddenName(entry: ArchiveEntry): string {
  const hidden = entry.name.slice(PREFIX.length)
  if (['', '.', '..'].includes(hidden)) throw refused(entry, 'it names nothing to hide')
  return hidden
}

function markedFolder(path: string): string | undefined {
  return path.split('\0').find((part) => part.startsWith(PREFIX))
}

function refused({ parent, name }: MemberPath, reason: string): MalformedError {
  const path = Buffer.from([...parent.split('\0'), name].filter((part) => part !== '').join('/'), 'latin1')
  return new MalformedError('tar', `the layer member ${show(path)} is refused: ${reason}`)
}
