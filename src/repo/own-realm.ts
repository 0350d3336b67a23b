import { signingKey } from '../format/ed25519.ts'
import type { RowStore } from '../store/row-store.ts'
import { keepFirstRoot } from './identity.ts'
import type { Identity, IdentityOptions } from './identity.ts'
import { RealmAdmin } from './realm-admin.ts'
import { openRealmKeys } from './realm-keys.ts'
import { openRealm } from './realm.ts'
import type { TokenRealm } from './token-keys.ts'
import type { Realm } from './realm.ts'

export interface OwnRealm {
  readonly realm: Realm
  readonly admin: RealmAdmin
}

/** The realm that this data folder is in, and what its node may do there. At the first start it admits itself. */
export async function openOwnRealm(
  rows: RowStore,
  { node, tokenSeed, realm: id }: Identity,
  { directory, clock }: IdentityOptions,
): Promise<OwnRealm> {
  const realm = await openRealm(rows, id)
  await keepFirstRoot(directory, realm.first)
  const keys = await openRealmKeys(directory, node)
  const tokenKey = signingKey(tokenSeed).publicKey
  const admin = new RealmAdmin({ realm, node, tokenKey, keys, clock })
  await admin.admitSelf()
  return { realm, admin }
}

/** What the tokens of this node need of its realm. */
export function tokenRealm(realm: Realm, admin: RealmAdmin): TokenRealm {
  return {
    get isShared() {
      return realm.isShared
    },
    get governance() {
      return realm.governance
    },
    subscribe: (listener) => realm.subscribe(listener),
    revoke: (what) => admin.revoke(what),
  }
}
