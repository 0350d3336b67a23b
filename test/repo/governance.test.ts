import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { SigningKey } from '../../src/format/ed25519.ts'
import { signRecord } from '../../src/format/governance-record.ts'
import type { SignedRecord } from '../../src/format/governance-record.ts'
import { signRoot } from '../../src/format/root-document.ts'
import type { SignedRoot } from '../../src/format/root-document.ts'
import { governanceDigest, governanceOf, judgedAnew } from '../../src/repo/governance.ts'
import { toHex } from '../../src/util/bytes.ts'
import { filled, firstRoot, keyOf, summary } from './a-realm.ts'

const [ROOT, ADMIN, SECOND, A, B, STRANGER] = [1, 2, 3, 10, 11, 12].map(keyOf) as [
  SigningKey,
  SigningKey,
  SigningKey,
  SigningKey,
  SigningKey,
  SigningKey,
]
const FIRST = firstRoot(ROOT, ADMIN)
const NODES = [A, B, STRANGER].map(({ publicKey }) => publicKey)
const LOG = filled(32, 50)

type Fields = Parameters<typeof signRecord>[0] extends infer R
  ? R extends { readonly type: string }
    ? Omit<R, 'realm' | 'rootVersion' | 'issuedS'>
    : never
  : never

function record(fields: Fields, signer: SigningKey, issuedS = 5, realm = FIRST.id): SignedRecord {
  return signRecord({ ...fields, realm, rootVersion: 1, issuedS }, signer)
}

function add(node: SigningKey, signer: SigningKey = ADMIN, issuedS = 5, name = 'n'): SignedRecord {
  const fields = { tokenKey: filled(32, 7), roles: ['writer'], name, addresses: [] }
  return record({ type: 'node.add', node: node.publicKey, ...fields }, signer, issuedS)
}

function cut(node: SigningKey, signer: SigningKey, sequence?: number): SignedRecord {
  const ends = sequence === undefined ? [] : [{ log: LOG, sequence, hash: filled(32, sequence) }]
  return record({ type: 'node.cut', node: node.publicKey, others: 'none', ends }, signer)
}

function leave(node: SigningKey, signer = node): SignedRecord {
  return record({ type: 'node.cut', node: node.publicKey, others: 'all', ends: [] }, signer)
}

/** The version after `before`, in which these keys are the administrators. */
function next(before: SignedRoot, admins: readonly SigningKey[], signers = [ROOT], issuedS = 2): SignedRoot {
  const nodes = { keys: admins.map(({ publicKey }) => publicKey), threshold: 1 }
  const roles = { root: { keys: [ROOT.publicKey], threshold: 1 }, nodes, names: nodes }
  const version = before.root.version + 1
  return signRoot({ version, previous: before.hash, roles, issuedS }, signers)
}

const SECOND_ROOT = next(FIRST, [ADMIN, SECOND])
const ROOTS = [
  SECOND_ROOT,
  next(SECOND_ROOT, [SECOND]),
  next(FIRST, [SECOND], [ROOT], 3),
  next(FIRST, [STRANGER], [STRANGER]),
]
const CUTS = [cut(A, ADMIN, 3), cut(A, SECOND, 5), cut(A, ADMIN), cut(B, STRANGER), leave(B), leave(B, A)]
const RECORDS = [
  add(A),
  add(A, ADMIN, 6, 'later'),
  add(A, SECOND, 6, 'same time'),
  add(B),
  add(B, SECOND),
  add(STRANGER, STRANGER),
  ...CUTS,
  ...CUTS.map(({ hash }) => record({ type: 'node.uncut', cut: hash }, ADMIN)),
  record({ type: 'node.uncut', cut: CUTS[0]?.hash ?? filled(32, 0) }, STRANGER),
  ...[A, B, STRANGER].flatMap((by) => [
    record({ type: 'token.revoke', token: filled(8, 1), untilS: 5 }, by),
    record({ type: 'token.revoke', user: 'user2', untilS: 5 }, by),
  ]),
  record({ type: 'realm.name', name: 'one' }, ADMIN),
  record({ type: 'realm.name', name: 'two' }, SECOND),
  record({ type: 'realm.name', name: 'other' }, STRANGER),
  record({ type: 'flist.purge', flist: filled(32, 9) }, ADMIN),
  record({ type: 'flist.purge', flist: filled(32, 8) }, ADMIN),
  record({ type: 'realm.name', name: 'elsewhere' }, ADMIN, 9, filled(32, 1)),
]

describe('the governance of a realm', () => {
  it('is a function of the set of root documents and records: order and repetition play no part (I2)', () => {
    const all = [...ROOTS, ...RECORDS]
    fc.assert(
      fc.property(
        fc
          .subarray(all)
          .chain((chosen) =>
            fc.tuple(
              fc.constant(chosen),
              fc.shuffledSubarray(chosen, { minLength: chosen.length }),
              fc.subarray(chosen),
            ),
          ),
        ([chosen, shuffled, twice]) => {
          const of = (items: ReadonlyArray<SignedRoot | SignedRecord>) =>
            governanceOf(
              FIRST,
              items.filter((item) => 'root' in item),
              items.filter((item): item is SignedRecord => 'record' in item),
            )
          assert.equal(summary(of([...shuffled, ...twice]), NODES), summary(of(chosen), NODES))
          const hashes = chosen.map(({ hash }) => hash)
          assert.deepEqual(governanceDigest(shuffled.map(({ hash }) => hash)), governanceDigest(hashes))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('never believes a stranger, whatever else is there', () => {
    const forged = RECORDS.filter(({ record: { signer } }) =>
      signer.every((byte, at) => byte === STRANGER.publicKey[at]),
    )
    assert.ok(forged.length > 4)
    fc.assert(
      fc.property(
        fc.subarray(RECORDS.filter((one) => !forged.includes(one))),
        fc.subarray(ROOTS.slice(0, 3)),
        (some, roots) => {
          const without = summary(governanceOf(FIRST, roots, some), NODES)
          assert.equal(
            summary(governanceOf(FIRST, [...roots, ...ROOTS.slice(3)], [...some, ...forged]), NODES),
            without,
          )
        },
      ),
      { numRuns: 200 },
    )
  })

  it('admits whom an administrator adds; what others write counts nowhere', () => {
    const governance = governanceOf(FIRST, [], [add(A), add(B, A), add(STRANGER, STRANGER)])
    assert.ok(governance.isAdmitted(A.publicKey) && governance.isMember(A.publicKey))
    assert.equal(governance.limitsOf(A.publicKey, LOG), 'all')
    for (const { publicKey } of [B, STRANGER]) {
      assert.ok(!governance.isAdmitted(publicKey) && !governance.isMember(publicKey))
      assert.equal(governance.limitsOf(publicKey, LOG), 'none')
    }
  })

  it('takes name and addresses of the latest record of a node', () => {
    const records = [add(A, ADMIN, 6, 'new'), add(A, ADMIN, 5, 'old')]
    assert.equal(governanceOf(FIRST, [], records).member(A.publicKey)?.name, 'new')
  })

  it('limits a cut node to every cut that stands, and takes one back by an administrator alone', () => {
    const cuts = [cut(A, ADMIN, 3), cut(A, ADMIN, 5)]
    const governance = governanceOf(FIRST, [], [add(A), ...cuts])
    assert.ok(governance.isAdmitted(A.publicKey) && !governance.isMember(A.publicKey))
    const limits = governance.limitsOf(A.publicKey, LOG)
    assert.ok(typeof limits !== 'string')
    assert.deepEqual(limits.map(({ sequence }) => sequence).sort(), [3, 5])
    assert.equal(governance.limitsOf(A.publicKey, filled(32, 51)), 'none')
    const uncuts = cuts.map(({ hash }) => record({ type: 'node.uncut', cut: hash }, ADMIN))
    assert.ok(governanceOf(FIRST, [], [add(A), ...cuts, ...uncuts]).isMember(A.publicKey))
    const byItself = cuts.map(({ hash }) => record({ type: 'node.uncut', cut: hash }, A))
    assert.ok(!governanceOf(FIRST, [], [add(A), ...cuts, ...byItself]).isMember(A.publicKey))
  })

  it('lets a node leave, but not take back what it signed, and not send another one away', () => {
    const left = governanceOf(FIRST, [], [add(A), leave(A)]).member(A.publicKey)
    assert.deepEqual([left?.isCut, left?.hasLeft], [true, true])
    assert.equal(governanceOf(FIRST, [], [add(A), leave(A)]).limitsOf(A.publicKey, LOG), 'all')
    for (const attempt of [cut(A, A), cut(A, A, 3), leave(A, B)]) {
      const governance = governanceOf(FIRST, [], [add(A), add(B), attempt])
      assert.ok(governance.isMember(A.publicKey))
      assert.equal(governance.limitsOf(A.publicKey, LOG), 'all')
    }
    const both = governanceOf(FIRST, [], [add(A), leave(A), cut(A, ADMIN)]).member(A.publicKey)
    assert.equal(both?.hasLeft, false)
  })

  it('voids tokens on the word of a member and of one that left, not of one that was cut', () => {
    const revoke = [
      record({ type: 'token.revoke', token: filled(8, 1), untilS: 0 }, A),
      record({ type: 'token.revoke', user: 'alice', untilS: 10 }, A),
    ]
    const verdicts = (...also: SignedRecord[]) => {
      const governance = governanceOf(FIRST, [], [...revoke, ...also])
      return [
        governance.isRevoked(filled(8, 1), 'bob', 100),
        governance.isRevoked(filled(8, 2), 'alice', 10),
        governance.isRevoked(filled(8, 2), 'alice', 11),
        governance.isRevoked(filled(8, 2), 'bob', 1),
      ]
    }
    assert.deepEqual(verdicts(add(A)), [true, true, false, false])
    assert.deepEqual(verdicts(add(A), leave(A)), [true, true, false, false])
    assert.deepEqual(verdicts(add(A), cut(A, ADMIN)), [false, false, false, false])
    assert.deepEqual(verdicts(), [false, false, false, false])
  })

  it('follows the newest root that the one before it signed, and stops where two claim one version', () => {
    const [second, third, rival] = ROOTS as [SignedRoot, SignedRoot, SignedRoot]
    const versionOf = (roots: readonly SignedRoot[]) => {
      const { root, hasRootConflict } = governanceOf(FIRST, roots, [])
      return [root.version, hasRootConflict]
    }
    assert.deepEqual(versionOf([third]), [1, false])
    assert.deepEqual(versionOf([third, second]), [3, false])
    assert.deepEqual(versionOf([third, second, rival]), [1, true])
    const admins = governanceOf(FIRST, [second, third], [add(A), add(B, SECOND)])
    assert.ok(!admins.isAdmitted(A.publicKey) && admins.isAdmitted(B.publicKey))
  })

  it('tells about whose operations it has changed its mind', () => {
    const of = (...records: SignedRecord[]) => governanceOf(FIRST, [], records)
    const changed = (before: SignedRecord[], after: SignedRecord[]) =>
      judgedAnew(of(...before), of(...after)).map(toHex)
    assert.deepEqual(changed([add(A)], [add(A), add(A, ADMIN, 6, 'other name')]), [])
    assert.deepEqual(changed([], [add(A)]), [toHex(A.publicKey)])
    assert.deepEqual(changed([add(A), add(B)], [add(A), add(B), cut(B, ADMIN)]), [toHex(B.publicKey)])
    assert.deepEqual(changed([add(A), add(B)], [add(A)]), [toHex(B.publicKey)])
  })
})
