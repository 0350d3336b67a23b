/** Every file below a folder, links not followed, names as raw bytes, in an order that depends on names alone. */
import { lstatSync, readdirSync, statSync, type BigIntStats } from 'node:fs'
import { compareBytes, concat, EMPTY, fromUtf8 } from '../util/bytes.ts'

export interface WalkedFile {
  /** Relative to the folder; empty for the folder itself. */
  readonly path: Uint8Array
  readonly fullPath: Buffer
  readonly stat: BigIntStats
}

export interface WalkOptions {
  /** Does not go into folders that are mounted below. */
  readonly oneFileSystem: boolean
  /** Told about a file that was gone before it could be looked at. */
  readonly onVanished: (path: Uint8Array) => void
}

/** A folder before what is in it. Synchronous: asking the disk for one file takes less than a turn of the loop. */
export function* walkFiles(root: string, { oneFileSystem, onVanished }: WalkOptions): Generator<WalkedFile> {
  const top: WalkedFile = { path: EMPTY, fullPath: Buffer.from(root), stat: statSync(root, { bigint: true }) }
  yield top
  const waiting = pathsIn(top)
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const stat = lstatSync(next.fullPath, { bigint: true, throwIfNoEntry: false })
    if (stat === undefined) {
      onVanished(next.path)
      continue
    }
    const file = { ...next, stat }
    yield file
    if (stat.isDirectory() && (!oneFileSystem || stat.dev === top.stat.dev))
      for (const path of pathsIn(file)) waiting.push(path)
  }
}

/** Last first. A folder that is gone by now has nothing in it. */
function pathsIn({ path, fullPath }: WalkedFile): Array<Omit<WalkedFile, 'stat'>> {
  return namesIn(fullPath)
    .sort((a, b) => compareBytes(b, a))
    .map((name) => ({
      path: path.length === 0 ? name : concat([path, SLASH, name]),
      fullPath: Buffer.concat([fullPath, SLASH, name]),
    }))
}

function namesIn(fullPath: Buffer): Buffer[] {
  try {
    return readdirSync(fullPath, { encoding: 'buffer' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
const SLASH = fromUtf8('/')
