import { randomBytes } from 'node:crypto'
import { signingKey } from '../../src/format/ed25519.ts'
import type { SigningKey } from '../../src/format/ed25519.ts'
import { operationHash } from '../../src/format/operation.ts'
import { readArrival } from '../../src/repo/arrival.ts'
import type { Authority, Limits } from '../../src/repo/authority.ts'
import type { OperationProblem } from '../../src/repo/check.ts'
import type { Holds } from '../../src/repo/held-revision.ts'
import { OperationReader } from '../../src/repo/operation-reader.ts'
import { openRepositories } from '../../src/repo/repositories.ts'
import type { Received, SignedRepositories } from '../../src/repo/repositories.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { toHex } from '../../src/util/bytes.ts'
import { TestClock } from './a-repository.ts'

export const REALM = new Uint8Array(32).fill(7)

/** What a test says about who counts; one value for all nodes of a realm. */
export class TestAuthority implements Authority {
  readonly admitted = new Set<string>()
  /** By author. */
  readonly limits = new Map<string, (log: Uint8Array) => Limits>()

  isAdmitted(node: Uint8Array): boolean {
    return this.admitted.has(toHex(node))
  }

  limitsOf(node: Uint8Array, log: Uint8Array): Limits {
    return this.limits.get(toHex(node))?.(log) ?? 'all'
  }
}

/** One node of a realm, without network, files and other parts. */
export class TestNode {
  readonly clock = new TestClock()
  readonly key: SigningKey
  readonly authority: TestAuthority
  rows = new MemoryRowStore()
  incarnation: Uint8Array = new Uint8Array(8)
  /** Of flists; all of them when absent. */
  holds: Holds | undefined
  isPurged: ((flist: Uint8Array) => boolean) | undefined
  repositories!: SignedRepositories

  private constructor(seed: number, authority: TestAuthority) {
    this.key = signingKey(new Uint8Array(32).fill(seed))
    this.authority = authority
    authority.admitted.add(toHex(this.key.publicKey))
  }

  static async open(seed: number, authority: TestAuthority): Promise<TestNode> {
    const node = new TestNode(seed, authority)
    node.incarnation = new Uint8Array(8).fill(seed)
    await node.start()
    return node
  }

  /** As after a restart; on other rows, as after a restore. */
  async start(rows = this.rows): Promise<void> {
    this.rows = rows
    const identity = {
      node: this.key,
      tokenSeed: new Uint8Array(32),
      realm: REALM,
      rootVersion: 1,
      incarnation: this.incarnation,
      isRestored: false,
      exposed: [],
    }
    this.repositories = await openRepositories({
      rows,
      identity,
      clock: this.clock.read,
      authority: () => this.authority,
      ...(this.holds && { holds: this.holds }),
      ...(this.isPurged && { isPurged: this.isPurged }),
    })
  }

  renew(): void {
    this.incarnation = randomBytes(8)
  }

  get reader(): OperationReader {
    return new OperationReader(this.rows)
  }

  /** Takes from another node what of a repository it has, log by log, at most `max` operations of each. */
  async pull(from: TestNode, max = Infinity, isReversed = false): Promise<Received[]> {
    const received: Received[] = []
    for await (const { id, name } of from.reader.repositories()) {
      const logs = await from.reader.logs(id)
      for (const log of isReversed ? logs.reverse() : logs) {
        const bytes: Uint8Array[] = []
        for await (const one of from.reader.operations(log.id, 1)) bytes.push(one)
        const news = bytes
          .filter((one) => !this.reader.holds(operationHash(one)))
          .map((one) => readArrival(one, REALM, this.authority))
        received.push(await this.repositories.receive(name, news.slice(0, max)))
      }
    }
    return received
  }

  async problems(): Promise<OperationProblem[]> {
    const found: OperationProblem[] = []
    for await (const problem of this.repositories.checkOperations({ holds: () => true })) found.push(problem)
    return found
  }

  /** Every row, as text. */
  everything(): Promise<string> {
    return this.dump(...this.rows.spaces())
  }

  /** Everything of some spaces, as text: equal on nodes that agree. */
  async dump(...spaces: string[]): Promise<string> {
    const lines: string[] = []
    for (const space of spaces) {
      for await (const [key, value] of this.rows.rows(space))
        lines.push(`${space} ${toHex(key)} ${toHex(value)}`)
    }
    return lines.join('\n')
  }
}
