import { randomBytes } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { CorruptError } from '../errors.ts'
import { signingKey } from '../format/ed25519.ts'
import type { SigningKey } from '../format/ed25519.ts'
import { decodeRoot, signRoot } from '../format/root-document.ts'
import type { SignedRoot } from '../format/root-document.ts'
import { INCARNATION_BYTES } from '../format/operation.ts'
import type { RowChange, RowStore } from '../store/row-store.ts'
import { equalBytes, fromUtf8 } from '../util/bytes.ts'
import { markBoot } from './boot-marker.ts'
import type { Clock } from './hybrid-clock.ts'
import { openKeyFolder, openSeed, readSeed } from './keys.ts'
import type { ExposedKey } from './keys.ts'
import { createPrivateFile, readPrivateFile, replacePrivateFile } from './private-file.ts'
import { governanceKey, SPACES } from './rows.ts'

/** Who this node is, and the realm it signs in. */
export interface Identity {
  readonly node: SigningKey
  /** Of tokens, unless the operator gives one. */
  readonly tokenSeed: Uint8Array
  /** 32 bytes. */
  readonly realm: Uint8Array
  readonly rootVersion: number
  /** Of this data folder, 8 bytes; a new one at the first start and after a restore. */
  readonly incarnation: Uint8Array
  /** This start took a new incarnation although the node had signed before: it runs on a restored copy. */
  readonly isRestored: boolean
  /** What of the keys others could have read until now. */
  readonly exposed: readonly ExposedKey[]
}

export interface IdentityOptions {
  /** The folder of keys. */
  readonly directory: string
  readonly clock: Clock
}

const OWN_NODE = fromUtf8('node')
const OWN_INCARNATION = fromUtf8('incarnation')
const OWN_BOOT = fromUtf8('boot')
const OWN_REALM = fromUtf8('realm')
const ROOT_FILE = 'realm.cbor'
const BOOT_FILE = 'boot'

/**
 * Opens the keys and the incarnation of this data folder, and tells which realm it is in. At the first start it makes
 * them, and begins a realm of its own.
 * @throws {CorruptError} when the keys are not those that this index was made with.
 */
export async function openIdentity(rows: RowStore, { directory, clock }: IdentityOptions): Promise<Identity> {
  const exposed = await openKeyFolder(directory)
  const node = await openNodeKey(rows, directory)
  const tokenSeed = await openSeed(directory, 'token.seed')
  const root = await openFirstRoot(directory, clock)
  const realm = rows.get(SPACES.own, OWN_REALM) ?? root.id
  const { incarnation, isRestored, changes } = await openIncarnation(rows, directory)
  await rows.write([
    ...changes,
    put(SPACES.own, OWN_NODE, node.publicKey),
    ...realmChanges(rows, realm, root),
  ])
  return { node, tokenSeed, realm, rootVersion: root.root.version, incarnation, isRestored, exposed }
}

/** The rows that put a folder of keys whose index was lost back into the realm it was in. */
function realmChanges(rows: RowStore, realm: Uint8Array, root: SignedRoot): RowChange[] {
  if (!equalBytes(realm, root.id)) return []
  const key = governanceKey(realm, root.hash)
  return [
    put(SPACES.own, OWN_REALM, realm),
    ...(rows.get(SPACES.governance, key) === undefined ? [put(SPACES.governance, key, root.bytes)] : []),
  ]
}

/** The keys go with the realm that the index is in: a folder whose index is lost comes back to it. */
export async function keepFirstRoot(directory: string, root: SignedRoot): Promise<void> {
  const path = join(directory, ROOT_FILE)
  const known = await readPrivateFile(path)
  if (known === undefined || !equalBytes(known, root.bytes)) await replacePrivateFile(path, root.bytes)
}

/** From the next start on another key is that of this node. */
export function nodeKeyChange(node: Uint8Array): RowChange {
  return put(SPACES.own, OWN_NODE, node)
}

/** Remembers which realm this data folder is in. */
export function realmChange(realm: Uint8Array): RowChange {
  return put(SPACES.own, OWN_REALM, realm)
}

function put(space: string, key: Uint8Array, value: Uint8Array): RowChange {
  return { type: 'put', space, key, value }
}

/** A folder of keys that was lost is not made anew: it would pass for the old node. */
async function openNodeKey(rows: RowStore, directory: string): Promise<SigningKey> {
  const known = rows.get(SPACES.own, OWN_NODE)
  if (known === undefined) return signingKey(await openSeed(directory, 'node.key'))
  for (const name of ['node.key', 'node.key.next'] as const) {
    const seed = await readSeed(directory, name)
    const node = seed && signingKey(seed)
    if (node === undefined || !equalBytes(known, node.publicKey)) continue
    if (name === 'node.key.next') await rename(join(directory, name), join(directory, 'node.key'))
    return node
  }
  throw new CorruptError(
    'node.key',
    `the keys in ${directory} are not those of this index: restore them both`,
  )
}

/** The first root document of the realm that the keys belong to. */
async function openFirstRoot(directory: string, clock: Clock): Promise<SignedRoot> {
  const path = join(directory, ROOT_FILE)
  const known = await readPrivateFile(path)
  if (known !== undefined) return decodeRoot(known)
  const rootKey = signingKey(await openSeed(directory, 'root.key'))
  const nodesKey = signingKey(await openSeed(directory, 'nodes.key'))
  const roles = {
    root: { keys: [rootKey.publicKey], threshold: 1 },
    nodes: { keys: [nodesKey.publicKey], threshold: 1 },
    names: { keys: [nodesKey.publicKey], threshold: 1 },
  }
  const issuedS = Math.floor(clock() / 1000)
  const root = signRoot({ version: 1, previous: undefined, roles, issuedS }, [rootKey])
  await createPrivateFile(path, root.bytes)
  return openFirstRoot(directory, clock)
}

interface Incarnation {
  readonly incarnation: Uint8Array
  readonly isRestored: boolean
  readonly changes: readonly RowChange[]
}

async function openIncarnation(rows: RowStore, directory: string): Promise<Incarnation> {
  const boot = await markBoot(join(directory, BOOT_FILE), rows.get(SPACES.own, OWN_BOOT))
  const known = rows.get(SPACES.own, OWN_INCARNATION)
  const isKept = known !== undefined && boot.isExpected
  const incarnation = isKept ? known : createIncarnation()
  return {
    incarnation,
    isRestored: known !== undefined && !isKept,
    changes: [put(SPACES.own, OWN_BOOT, boot.state), incarnationChange(incarnation)],
  }
}

export function createIncarnation(): Uint8Array {
  return randomBytes(INCARNATION_BYTES)
}

/** Remembers under which incarnation this data folder signs. */
export function incarnationChange(incarnation: Uint8Array): RowChange {
  return put(SPACES.own, OWN_INCARNATION, incarnation)
}
