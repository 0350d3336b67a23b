import fc from 'fast-check'
import { FlistBuilder, sortContents } from '../../src/flist/build.ts'
import type { EntryContent, FlistEntry } from '../../src/flist/entry.ts'
import { BLOCK_PAGES, DIRECTORY_SIZE_BYTES, directoryKey, encodeSpecial } from '../../src/format/flist-v1.ts'
import type { Inode, InodeContent } from '../../src/format/flist-v1.ts'
import { EMPTY } from '../../src/util/bytes.ts'

/** An entry and, for a directory, what is in it. */
export interface Tree {
  readonly name: Uint8Array
  readonly attributes: Omit<FlistEntry, 'path' | 'content' | 'sizeBytes'>
  readonly sizeBytes: number
  readonly content: EntryContent
  readonly children: readonly Tree[]
}

export const ROOT_OWNED = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  userName: Buffer.from('root'),
  groupName: Buffer.from('root'),
  modifiedS: 1_700_000_000,
}

export function directory(name: string, children: readonly Tree[] = []): Tree {
  return {
    name: Buffer.from(name),
    attributes: ROOT_OWNED,
    sizeBytes: DIRECTORY_SIZE_BYTES,
    content: { kind: 'directory' },
    children,
  }
}

export function leaf(name: string | Uint8Array, content: EntryContent, sizeBytes = 0): Tree {
  return { name: Buffer.from(name), attributes: ROOT_OWNED, sizeBytes, content, children: [] }
}

/** The flist of a tree; `metadata` in the order given. */
export function flistOf(root: Tree, metadata: Record<string, string> = {}): Uint8Array {
  const builder = new FlistBuilder()
  addTree(builder, root)
  for (const [key, text] of Object.entries(metadata)) builder.setMetadata(key, text)
  return builder.finish().bytes
}

/** Adds every directory of a tree, depth first. */
export function addTree(
  builder: FlistBuilder,
  tree: Tree,
  path: Uint8Array = EMPTY,
  parent: Uint8Array = EMPTY,
): void {
  builder.addDirectory({
    name: tree.name,
    location: path,
    parentKey: directoryKey(parent),
    sizeBytes: DIRECTORY_SIZE_BYTES,
    aclKey: builder.addAcl(tree.attributes),
    modifiedS: tree.attributes.modifiedS,
    changedS: tree.attributes.modifiedS,
    inodes: sortContents(tree.children).map((child) => inodeOf(builder, child, join(path, child.name))),
  })
  for (const child of sortContents(tree.children)) {
    if (child.content.kind === 'directory') addTree(builder, child, join(path, child.name), path)
  }
}

function inodeOf(builder: FlistBuilder, tree: Tree, path: Uint8Array): Inode {
  const { name, sizeBytes, attributes } = tree
  const { modifiedS } = attributes
  const aclKey = builder.addAcl(attributes)
  return { name, sizeBytes, aclKey, modifiedS, changedS: modifiedS, content: contentOf(tree.content, path) }
}

function contentOf(content: EntryContent, path: Uint8Array): InodeContent {
  switch (content.kind) {
    case 'directory':
      return { kind: 'directory', key: directoryKey(path) }
    case 'file':
      return { kind: 'file', blockPages: BLOCK_PAGES, blocks: content.blocks }
    case 'link':
      return content
    case 'special':
      return encodeSpecial(content.special, content.major, content.minor)
  }
}

/** What a reader should yield: depth first, in the order of `sortContents`. */
export function entriesOf(tree: Tree, path: Uint8Array = EMPTY): FlistEntry[] {
  const { attributes, sizeBytes, content } = tree
  const own: FlistEntry = { path, content, sizeBytes, ...attributes }
  return [own, ...sortContents(tree.children).flatMap((child) => entriesOf(child, join(path, child.name)))]
}

function join(parent: Uint8Array, name: Uint8Array): Uint8Array {
  return parent.length === 0 ? name : Buffer.concat([parent, Buffer.from('/'), name])
}

const name = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x61 : byte))))
  .filter((bytes) => !['.', '..'].includes(bytes.toString('latin1')))
const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes))
const id = fc.nat({ max: 0xffffffff })
const attributes = fc.record({
  mode: fc.nat({ max: 0o7777 }),
  uid: id,
  gid: id,
  userName: fc.constantFrom('root', 'daemon', 'ünï', '').map((text) => Buffer.from(text)),
  groupName: fc.constantFrom('root', 'wheel').map((text) => Buffer.from(text)),
  modifiedS: id,
})
const file = fc
  .record({
    blocks: fc.array(fc.record({ id: bytes16, key: bytes16 }), { maxLength: 4 }),
    last: fc.nat({ max: 524_287 }),
  })
  .map(({ blocks, last }) => ({
    content: { kind: 'file' as const, blocks },
    sizeBytes: blocks.length === 0 ? 0 : (blocks.length - 1) * 524_288 + last + 1,
  }))
const link = fc
  .uint8Array({ minLength: 1, maxLength: 300 })
  .map((bytes) => Buffer.from(bytes.map((byte) => byte || 0x2e)))
  .map((target) => ({ content: { kind: 'link' as const, target }, sizeBytes: target.length }))
const special = fc
  .oneof(
    fc.record({ special: fc.constantFrom('block' as const, 'char' as const), major: id, minor: id }),
    fc.record({ special: fc.constantFrom('fifo' as const), major: fc.constant(0), minor: fc.constant(0) }),
  )
  .map((numbers) => ({ content: { kind: 'special' as const, ...numbers }, sizeBytes: 0 }))

const { node } = fc.letrec<{ node: Tree }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc
      .record({ name, attributes, body: fc.oneof(file, link, special) })
      .map(({ body, ...rest }): Tree => ({ ...rest, ...body, children: [] })),
    fc
      .record({
        name,
        attributes,
        children: fc.uniqueArray(tie('node'), { maxLength: 8, selector: nameKey }),
      })
      .map((parts): Tree => ({ ...parts, content: { kind: 'directory' }, sizeBytes: DIRECTORY_SIZE_BYTES })),
  ),
}))

function nameKey(tree: Tree): string {
  return Buffer.from(tree.name).toString('latin1')
}

/** Trees with every kind of entry, names of any bytes. */
export const trees: fc.Arbitrary<Tree> = fc
  .record({ attributes, children: fc.uniqueArray(node, { maxLength: 8, selector: nameKey }) })
  .map((parts) => ({
    ...parts,
    name: EMPTY,
    content: { kind: 'directory' },
    sizeBytes: DIRECTORY_SIZE_BYTES,
  }))
