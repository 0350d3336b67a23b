import assert from 'node:assert/strict'
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { CorruptError } from '../../src/errors.ts'
import { signingKey, verifySignature } from '../../src/format/ed25519.ts'
import { openIdentity } from '../../src/repo/identity.ts'
import { openOwnRealm } from '../../src/repo/own-realm.ts'
import { toHex } from '../../src/util/bytes.ts'
import { asText } from '../doubles/as-text.ts'
import { MapRows } from '../doubles/map-rows.ts'
import { START_MS, temporaryFolder } from './a-repository.ts'

const clock = () => START_MS

describe('the identity of a node', () => {
  it('is made once: keys of mode 0600 in a folder of mode 0700', async (context) => {
    const directory = join(await temporaryFolder(context), 'keys')
    const rows = new MapRows()
    const first = await openIdentity(rows, { directory, clock })
    assert.equal((await stat(directory)).mode & 0o777, 0o700)
    const files = await readdir(directory)
    assert.deepEqual(files.sort(), ['boot', 'node.key', 'nodes.key', 'realm.cbor', 'root.key', 'token.seed'])
    for (const file of files) assert.equal((await stat(join(directory, file))).mode & 0o777, 0o600, file)
    assert.equal(first.isRestored, false)

    const second = await openIdentity(rows, { directory, clock })
    assert.equal(
      asText({ ...second, node: second.node.publicKey }),
      asText({ ...first, node: first.node.publicKey }),
    )
  })

  it('closes keys that others could read, and says which', async (context) => {
    const directory = join(await temporaryFolder(context), 'keys')
    const rows = new MapRows()
    assert.deepEqual((await openIdentity(rows, { directory, clock })).exposed, [])
    const path = join(directory, 'node.key')
    await chmod(path, 0o644)
    const { exposed } = await openIdentity(rows, { directory, clock })
    assert.deepEqual(exposed, [{ path, mode: 0o644 }])
    assert.equal((await stat(path)).mode & 0o777, 0o600)
  })

  it('signs with the key it shows', async (context) => {
    const { node } = await openIdentity(new MapRows(), { directory: await temporaryFolder(context), clock })
    const message = Buffer.from('hello')
    assert.ok(verifySignature(node.publicKey, message, node.sign(message)))
    assert.equal(verifySignature(node.publicKey, Buffer.from('hullo'), node.sign(message)), false)
  })

  it('is two nodes in two folders, each in a realm of its own', async (context) => {
    const [a, b] = [
      await openIdentity(new MapRows(), { directory: await temporaryFolder(context), clock }),
      await openIdentity(new MapRows(), { directory: await temporaryFolder(context), clock }),
    ]
    assert.notEqual(toHex(a.node.publicKey), toHex(b.node.publicKey))
    assert.notEqual(toHex(a.realm), toHex(b.realm))
    assert.notEqual(toHex(a.incarnation), toHex(b.incarnation))
  })

  it('begins a realm whose root it signs, and admits itself with its token key', async (context) => {
    const directory = await temporaryFolder(context)
    const rows = new MapRows()
    const identity = await openIdentity(rows, { directory, clock })
    const { realm, admin } = await openOwnRealm(rows, identity, { directory, clock })
    assert.equal(toHex(realm.id), toHex(identity.realm))
    const { root, members } = realm.governance
    assert.equal(root.version, 1)
    const [self, ...others] = members
    assert.ok(self !== undefined && others.length === 0)
    assert.equal(toHex(self.node), toHex(identity.node.publicKey))
    assert.equal(toHex(self.tokenKey), toHex(signingKey(identity.tokenSeed).publicKey))
    assert.deepEqual(self.roles, ['writer'])
    assert.ok(admin.mayAdmit)
    assert.equal(realm.isShared, false)
    const again = await openOwnRealm(rows, identity, { directory, clock })
    assert.equal(toHex(again.realm.digest()), toHex(realm.digest()))
  })

  it('stays the same realm and node when the index is lost, in a new incarnation', async (context) => {
    const directory = await temporaryFolder(context)
    const before = await openIdentity(new MapRows(), { directory, clock })
    const after = await openIdentity(new MapRows(), { directory, clock: () => START_MS + 5000 })
    assert.equal(toHex(after.realm), toHex(before.realm))
    assert.equal(toHex(after.node.publicKey), toHex(before.node.publicKey))
    assert.notEqual(toHex(after.incarnation), toHex(before.incarnation))
  })

  it('is refused when the keys are not those of the index, or are no keys', async (context) => {
    const rows = new MapRows()
    const directory = await temporaryFolder(context)
    await openIdentity(rows, { directory, clock })
    const other = await temporaryFolder(context)
    await assert.rejects(openIdentity(rows, { directory: other, clock }), CorruptError)
    assert.deepEqual(await readdir(other), [])
    await writeFile(join(directory, 'node.key'), 'garbage')
    await assert.rejects(openIdentity(rows, { directory, clock }), CorruptError)
    assert.equal(await readFile(join(directory, 'node.key'), 'utf8'), 'garbage')
  })
})

describe('the incarnation', () => {
  it('stays over any number of restarts', async (context) => {
    const directory = await temporaryFolder(context)
    const rows = new MapRows()
    const seen = new Set<string>()
    for (let start = 0; start < 3; start++)
      seen.add(toHex((await openIdentity(rows, { directory, clock })).incarnation))
    assert.equal(seen.size, 1)
  })

  const restores: Record<string, (directory: string, aside: string) => Promise<void>> = {
    'an older index': () => Promise.resolve(),
    'an older index, and a marker of that time in place': (directory, aside) =>
      copyBack(directory, aside, 'write'),
    'a copy of the whole folder': (directory, aside) => copyBack(directory, aside, 'replace'),
    'a backup, which has no marker': (directory) => rm(join(directory, 'boot')),
    'a marker that is torn': (directory) => writeFile(join(directory, 'boot'), 'x'),
  }
  for (const [what, restore] of Object.entries(restores)) {
    const isNoticed = what !== 'an older index, and a marker of that time in place'
    it(`is ${isNoticed ? 'new' : 'the same: nothing tells it'} after the restore of ${what}`, async (context) => {
      const directory = join(await temporaryFolder(context), 'keys')
      const aside = await temporaryFolder(context)
      const rows = new MapRows()
      const first = await openIdentity(rows, { directory, clock })
      const backup = copyOf(rows)
      await copyFile(join(directory, 'boot'), join(aside, 'boot'))
      await openIdentity(rows, { directory, clock })
      await restore(directory, aside)
      const after = await openIdentity(backup, { directory, clock })
      assert.equal(toHex(after.incarnation) !== toHex(first.incarnation), isNoticed)
      assert.equal(after.isRestored, isNoticed)
      const next = await openIdentity(backup, { directory, clock })
      assert.equal(toHex(next.incarnation), toHex(after.incarnation))
      assert.equal(next.isRestored, false)
    })
  }
})

function copyOf(rows: MapRows): MapRows {
  const copy = new MapRows()
  for (const [name, space] of rows.spaces) copy.spaces.set(name, new Map(space))
  return copy
}

/** Puts the marker back, into the same file or as another one. */
async function copyBack(directory: string, aside: string, how: 'write' | 'replace'): Promise<void> {
  const bytes = await readFile(join(aside, 'boot'))
  if (how === 'write') return writeFile(join(directory, 'boot'), bytes)
  await mkdir(`${directory}.new`)
  for (const file of await readdir(directory))
    await copyFile(join(directory, file), join(`${directory}.new`, file))
  await writeFile(join(`${directory}.new`, 'boot'), bytes)
  await rename(directory, `${directory}.old`)
  return rename(`${directory}.new`, directory)
}
