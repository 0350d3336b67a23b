/** What lies in a folder, byte for byte, as lstat and the files themselves say it. */
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Path as latin1 text (one character a byte) → everything an flist keeps of it. */
export type Tree = Map<string, string>

/** One line a file: type, mode, owner, time, and content, target or device number. */
export function readTree(root: string): Tree {
  const tree: Tree = new Map()
  const visit = (path: Buffer, name: Buffer) => {
    tree.set(name.toString('latin1'), describeFile(path))
    if (!lstatSync(path).isDirectory()) return
    for (const child of readdirSync(path, { encoding: 'buffer' })) {
      visit(Buffer.concat([path, Buffer.from('/'), child]), Buffer.concat([name, Buffer.from('/'), child]))
    }
  }
  visit(Buffer.from(root), Buffer.alloc(0))
  return tree
}

function describeFile(path: Buffer): string {
  const stat = lstatSync(path)
  const mode = (stat.mode & 0o7777).toString(8)
  const owner = `${stat.uid}:${stat.gid} ${mode} ${Math.floor(stat.mtimeMs / 1000)}`
  if (stat.isDirectory()) return `directory ${owner}`
  if (stat.isSymbolicLink())
    return `link ${owner} ${readlinkSync(path, { encoding: 'buffer' }).toString('latin1')}`
  if (stat.isFile())
    return `file ${owner} ${stat.size} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`
  return `special ${(stat.mode & 0o170000).toString(8)} ${owner} ${stat.rdev}`
}

/** The first differences between two trees, for people. */
export function differences(expected: Tree, actual: Tree): string[] {
  const found: string[] = []
  for (const name of new Set([...expected.keys(), ...actual.keys()])) {
    const [was, is] = [expected.get(name), actual.get(name)]
    if (was !== is)
      found.push(`${JSON.stringify(name)}: expected ${was ?? 'nothing'}, found ${is ?? 'nothing'}`)
  }
  return found.slice(0, 20)
}
