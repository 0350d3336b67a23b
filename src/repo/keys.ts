import { randomBytes } from 'node:crypto'
import { chmod, lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CorruptError } from '../errors.ts'
import { SEED_BYTES } from '../format/ed25519.ts'
import { fromHex, fromUtf8, toHex, toUtf8 } from '../util/bytes.ts'
import { makeFolder } from '../util/make-folder.ts'
import { createPrivateFile, readPrivateFile } from './private-file.ts'

/** The secrets of a node, each an Ed25519 seed: 64 hex digits and a newline in a file of its own, mode 0600. */
export type KeyName = 'node.key' | 'node.key.next' | 'root.key' | 'nodes.key' | 'token.seed'

/** A file or folder of secrets that others could have opened. */
export interface ExposedKey {
  readonly path: string
  /** As it was; by now nobody but this user may. */
  readonly mode: number
}

/** Makes the folder, and closes what in it is open to others. */
export async function openKeyFolder(directory: string): Promise<ExposedKey[]> {
  await makeFolder(directory)
  const exposed: ExposedKey[] = []
  for (const name of ['', ...(await readdir(directory))]) {
    const path = join(directory, name)
    const found = await lstat(path)
    if ((found.mode & 0o077) === 0 || found.isSymbolicLink()) continue
    await chmod(path, found.mode & 0o700)
    exposed.push({ path, mode: found.mode & 0o777 })
  }
  return exposed
}

/** The seed of that name; made at the first call. */
export async function openSeed(directory: string, name: KeyName): Promise<Uint8Array> {
  const known = await readSeed(directory, name)
  if (known !== undefined) return known
  const seed = randomBytes(SEED_BYTES)
  const isNew = await createPrivateFile(join(directory, name), fromUtf8(toHex(seed) + '\n'))
  return isNew ? seed : openSeed(directory, name)
}

/** @throws {CorruptError} when the file holds no seed: nothing is made in its place. */
export async function readSeed(directory: string, name: KeyName): Promise<Uint8Array | undefined> {
  const path = join(directory, name)
  const bytes = await readPrivateFile(path)
  if (bytes === undefined) return undefined
  const seed = fromHex(toUtf8(bytes).trim())
  if (seed?.length !== SEED_BYTES) throw new CorruptError(name, `${path} holds no key`)
  return seed
}
