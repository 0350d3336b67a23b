import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { signingKey } from '../../src/format/ed25519.ts'
import { signRecord } from '../../src/format/governance-record.ts'
import { signRoot } from '../../src/format/root-document.ts'
import { governanceOf } from '../../src/repo/governance.ts'

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)
const [ROOT, ADMIN, NODE] = [1, 2, 3].map((byte) => signingKey(filled(32, byte))) as [
  ReturnType<typeof signingKey>,
  ReturnType<typeof signingKey>,
  ReturnType<typeof signingKey>,
]
const [SECRET, OTHER] = [filled(32, 10), filled(32, 11)]

const nodes = { keys: [ADMIN.publicKey], threshold: 1 }
const FIRST = signRoot(
  {
    version: 1,
    previous: undefined,
    roles: { root: { keys: [ROOT.publicKey], threshold: 1 }, nodes, names: nodes },
    issuedS: 1,
  },
  [ROOT],
)
const PURGE = { realm: FIRST.id, rootVersion: 1, issuedS: 2, type: 'flist.purge', flist: SECRET } as const

describe('a purged flist', () => {
  it('is one that an administrator of the realm named, once or more often', () => {
    const later = signRecord({ ...PURGE, issuedS: 3 }, ADMIN)
    const governance = governanceOf(FIRST, [], [signRecord(PURGE, ADMIN), later])
    assert.ok(governance.isPurged(SECRET))
    assert.ok(!governance.isPurged(OTHER))
    assert.deepEqual(governance.purged, [SECRET])
  })

  it('is none that a node names by itself, or the administrator of another realm', () => {
    const byNode = signRecord(PURGE, NODE)
    const elsewhere = signRecord({ ...PURGE, realm: filled(32, 9) }, ADMIN)
    const governance = governanceOf(FIRST, [], [byNode, elsewhere])
    assert.ok(!governance.isPurged(SECRET))
    assert.deepEqual(governance.purged, [])
  })
})
