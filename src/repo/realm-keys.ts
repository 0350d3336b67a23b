import { signingKey } from '../format/ed25519.ts'
import type { SigningKey } from '../format/ed25519.ts'
import type { Role } from '../format/root-document.ts'
import { equalBytes } from '../util/bytes.ts'
import { readSeed } from './keys.ts'

/** The keys in this data folder that a root document may name: its own first ones, and that of the node. */
export class RealmKeys {
  readonly #keys: readonly SigningKey[]

  constructor(keys: readonly SigningKey[]) {
    this.#keys = keys
  }

  /** Those of a role that are here, as many as it asks for; `undefined` when they are fewer. */
  signersOf({ keys, threshold }: Role): readonly SigningKey[] | undefined {
    const own = this.#keys.filter(({ publicKey }) => keys.some((key) => equalBytes(key, publicKey)))
    return own.length >= threshold ? own.slice(0, threshold) : undefined
  }
}

/** `others`: keys of the node beside the one that it has. */
export async function openRealmKeys(
  directory: string,
  node: SigningKey,
  ...others: readonly SigningKey[]
): Promise<RealmKeys> {
  const seeds = [await readSeed(directory, 'nodes.key'), await readSeed(directory, 'root.key')]
  return new RealmKeys([
    node,
    ...others,
    ...seeds.flatMap((seed) => (seed === undefined ? [] : [signingKey(seed)])),
  ])
}
