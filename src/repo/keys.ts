import { randomBytes } from 'node:crypto'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CorruptError } from '../errors.ts'
import { SEED_BYTES } from '../format/ed25519.ts'
import { fromHex, fromUtf8, toHex, toUtf8 } from '../util/bytes.ts'
import { createPrivateFile, readPrivateFile } from './private-file.ts'

/** The secrets of a node, each an Ed25519 seed: 64 hex digits and a newline in a file of its own, mode 0600. */
export type KeyName = 'node.key' | 'root.key' | 'nodes.key' | 'token.seed'

export async function openKeyFolder(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await chmod(directory, 0o700)
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
