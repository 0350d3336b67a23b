import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Target, User } from '../../src/repo/entry.ts'
import { openIdentity } from '../../src/repo/identity.ts'
import { openOwnRealm } from '../../src/repo/own-realm.ts'
import { openRepositories } from '../../src/repo/repositories.ts'
import type { SignedRepositories } from '../../src/repo/repositories.ts'
import type { RowStore } from '../../src/store/row-store.ts'
import { MapRows } from '../doubles/map-rows.ts'

export const ALICE: User = { sub: 'alice', idp: 'token' }
export const START_MS = 1_700_000_000_000

/** A wall clock that only the test moves. */
export class TestClock {
  ms = START_MS
  readonly read = (): number => this.ms
}

export async function temporaryFolder(context: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'zhub-repo-'))
  context.after(() => rm(path, { recursive: true, force: true }))
  return path
}

export interface Opened<R extends RowStore = MapRows> {
  readonly repositories: SignedRepositories
  readonly rows: R
  readonly clock: TestClock
  readonly directory: string
  /** The same folder and rows, as after a restart. */
  reopen(): Promise<Opened<R>>
}

export async function openTestRepositories(context: TestContext): Promise<Opened> {
  return openOn(new MapRows(), new TestClock(), await temporaryFolder(context))
}

export async function openOn<R extends RowStore>(
  rows: R,
  clock: TestClock,
  directory: string,
): Promise<Opened<R>> {
  const identity = await openIdentity(rows, { directory, clock: clock.read })
  const { realm } = await openOwnRealm(rows, identity, { directory, clock: clock.read })
  const repositories = await openRepositories({
    rows,
    identity,
    clock: clock.read,
    authority: () => realm.governance,
  })
  return { repositories, rows, clock, directory, reopen: () => openOn(rows, clock, directory) }
}

/** A flist target that is told apart by a number. */
export function flist(number: number): Extract<Target, { kind: 'file' }> {
  const id = new Uint8Array(32)
  new DataView(id.buffer).setUint32(28, number)
  return { kind: 'file', flist: id, sizeBytes: 1000 + number, md5: number.toString(16).padStart(32, '0') }
}
