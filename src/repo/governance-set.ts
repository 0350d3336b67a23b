import { ForbiddenError, LimitError, MalformedError } from '../errors.ts'
import { decodeCbor } from '../format/dag-cbor.ts'
import { descriptorId, MAX_OBJECT_BYTES } from '../format/descriptor.ts'
import { decodeRecord } from '../format/governance-record.ts'
import type { SignedRecord } from '../format/governance-record.ts'
import { decodeRoot, hasStraySignatures, isSignedBy } from '../format/root-document.ts'
import type { SignedRoot } from '../format/root-document.ts'
import { compareBytes, equalBytes, toHex } from '../util/bytes.ts'
import { MIB } from '../util/units.ts'
import { governanceDigest, governanceOf, isLeave } from './governance.ts'
import type { Governance } from './governance.ts'

export type GovernanceItem = SignedRoot | SignedRecord

/** Ours: what the governance of one realm may come to. Over it a realm has a member that floods it, and cuts that. */
const MAX_ITEMS = 100_000
const MAX_BYTES = 32 * MIB
const MAX_ROOTS = 1024
/** Of one node that is no administrator. */
const MAX_ITEMS_OF_NODE = 20_000

/** @throws {MalformedError | LimitError} for bytes that are neither a root document nor a record, signed. */
export function decodeItem(bytes: Uint8Array): GovernanceItem {
  const value = decodeCbor(bytes, { format: 'governance record', maxBytes: MAX_OBJECT_BYTES })
  const isRoot = typeof value === 'object' && value !== null && 'sigs' in value
  return isRoot ? decodeRoot(bytes) : decodeRecord(bytes)
}

/**
 * The root documents and records of a realm, one set by the SHA-256 of their bytes. It only grows (invariant I7), and
 * takes nothing whose signer the realm never named.
 */
export class GovernanceSet {
  readonly #first: SignedRoot
  readonly #items: ReadonlyMap<string, GovernanceItem>
  #governance: Governance | undefined
  #digest: Uint8Array | undefined
  #hashes: readonly Uint8Array[] | undefined

  /** `first` is version 1 of the root; `items` came through `sift`. */
  constructor(first: SignedRoot, items: Iterable<GovernanceItem> = []) {
    this.#first = first
    this.#items = new Map([first, ...items].map((item) => [toHex(item.hash), item]))
  }

  get first(): SignedRoot {
    return this.#first
  }

  get id(): Uint8Array {
    return this.#first.id
  }

  get governance(): Governance {
    const items = [...this.#items.values()]
    this.#governance ??= governanceOf(
      this.#first,
      items.filter(isRoot),
      items.filter((item): item is SignedRecord => !isRoot(item)),
    )
    return this.#governance
  }

  digest(): Uint8Array {
    this.#digest ??= governanceDigest(this.hashes())
    return this.#digest
  }

  /** In order. */
  hashes(): readonly Uint8Array[] {
    this.#hashes ??= [...this.#items.values()].map(({ hash }) => hash).sort(compareBytes)
    return this.#hashes
  }

  get(hash: Uint8Array): Uint8Array | undefined {
    return this.#items.get(toHex(hash))?.bytes
  }

  items(): Iterable<GovernanceItem> {
    return this.#items.values()
  }

  with(items: readonly GovernanceItem[]): GovernanceSet {
    return new GovernanceSet(this.#first, [...this.#items.values(), ...items])
  }

  /**
   * The new ones of a list, all of which are fit to be kept; the order of the list plays no part.
   * @throws {MalformedError | LimitError | ForbiddenError} when one is not, and then none is.
   */
  sift(list: readonly Uint8Array[]): GovernanceItem[] {
    if (list.length > MAX_ITEMS) throw new LimitError('governance records', MAX_ITEMS, 'records')
    const fresh = new Map<string, GovernanceItem>()
    for (const bytes of list) {
      const id = toHex(descriptorId(bytes))
      if (!this.#items.has(id)) fresh.set(id, decodeItem(bytes))
    }
    if (fresh.size === 0) return []
    const intake = new Intake(this.#first)
    for (const item of this.#items.values()) intake.note(item)
    const sorted = [...fresh.values()].sort((a, b) => turnOf(a) - turnOf(b))
    for (const item of sorted) intake.take(item)
    return sorted
  }
}

function isRoot(item: GovernanceItem): item is SignedRoot {
  return 'root' in item
}

/** Roots by version, then who was admitted, then the rest: each after what it rests on. */
function turnOf(item: GovernanceItem): number {
  if (isRoot(item)) return item.root.version
  return item.record.type === 'node.add' ? Number.MAX_SAFE_INTEGER - 1 : Number.MAX_SAFE_INTEGER
}

/** What may come into a set, one after the other. */
class Intake {
  readonly #first: SignedRoot
  readonly #roots = new Map<string, SignedRoot>()
  /** Keys that some root names for the role nodes: what they signed may count again. */
  readonly #administrators = new Set<string>()
  readonly #admitted = new Set<string>()
  readonly #bySigner = new Map<string, number>()
  #items = 0
  #bytes = 0

  constructor(first: SignedRoot) {
    this.#first = first
  }

  take(item: GovernanceItem): void {
    if (isRoot(item)) this.#checkRoot(item)
    else this.#checkRecord(item)
    this.note(item)
    if (this.#items > MAX_ITEMS) throw new LimitError('governance of a realm', MAX_ITEMS, 'records')
    if (this.#bytes > MAX_BYTES) throw new LimitError('governance of a realm', MAX_BYTES, 'bytes')
  }

  note(item: GovernanceItem): void {
    this.#items++
    this.#bytes += item.bytes.length
    if (isRoot(item)) {
      this.#roots.set(toHex(item.hash), item)
      for (const key of item.root.roles.nodes.keys) this.#administrators.add(toHex(key))
      return
    }
    const { record } = item
    const signer = toHex(record.signer)
    this.#bySigner.set(signer, (this.#bySigner.get(signer) ?? 0) + 1)
    if (record.type === 'node.add') this.#admitted.add(toHex(record.node))
  }

  #checkRoot(item: SignedRoot): void {
    const { version, previous, roles } = item.root
    if (version === 1) {
      const isAnother = !equalBytes(item.id, this.#first.id)
      throw new ForbiddenError(
        isAnother ? 'a root document of another realm' : 'the first root document, with other signatures',
      )
    }
    const before = previous && this.#roots.get(toHex(previous))
    if (before?.root.version !== version - 1) {
      throw new ForbiddenError('a root document that follows none of this realm')
    }
    if (!isSignedBy(item, before.root.roles.root)) {
      throw new ForbiddenError('a root document that the keys of the one before did not sign')
    }
    if (hasStraySignatures(item, [roles.root, before.root.roles.root])) {
      throw new MalformedError('root document', 'it has signatures that nobody asked for')
    }
    if (this.#roots.size >= MAX_ROOTS) throw new LimitError('root documents', MAX_ROOTS, 'documents')
  }

  #checkRecord(item: SignedRecord): void {
    const { record } = item
    if (!equalBytes(record.realm, this.#first.id)) {
      throw new ForbiddenError('a governance record of another realm')
    }
    const signer = toHex(record.signer)
    if (this.#administrators.has(signer)) return
    const isForNodes = record.type === 'token.revoke' || isLeaveRecord(item)
    if (!isForNodes || !this.#admitted.has(signer)) {
      throw new ForbiddenError(`a record ${record.type} by ${signer}, who may not sign it in this realm`)
    }
    if ((this.#bySigner.get(signer) ?? 0) >= MAX_ITEMS_OF_NODE) {
      throw new LimitError(`governance records of ${signer}`, MAX_ITEMS_OF_NODE, 'records')
    }
  }
}

function isLeaveRecord({ record }: SignedRecord): boolean {
  return record.type === 'node.cut' && isLeave(record)
}
