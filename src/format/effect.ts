import { hasFlistSuffix, isFlistName, isName, isRepositoryName, isTaglinkName } from './name-rule.ts'
import { fromHex, toHex } from '../util/bytes.ts'
import { linkDigest, linkTo } from './dag-cbor.ts'
import type { CborValue } from './dag-cbor.ts'
import { RecordReader } from './record.ts'

/** What a name points to. `name` carries its suffix; a taglink's has none. */
export type Target =
  | {
      readonly kind: 'file'
      /** Id of its descriptor, 32 bytes. */
      readonly flist: Uint8Array
      readonly sizeBytes: number
      /** Lower-case hex. */
      readonly md5: string
    }
  | { readonly kind: 'link'; readonly name: string }
  | { readonly kind: 'xlink'; readonly repository: string; readonly name: string }
  | { readonly kind: 'tagentry'; readonly repository: string; readonly name: string }
  | { readonly kind: 'taglink'; readonly repository: string; readonly tag: string }

/** What an operation says about one name. */
export interface Effect {
  readonly name: string
  /** Set for an entry of that tag. */
  readonly tag?: string | undefined
  /** `resolve` is a put that settles a conflict by hand, or, without a target, a delete that does. */
  readonly type: 'put' | 'delete' | 'resolve'
  /** Always with `put`, never with `delete`. */
  readonly target?: Target | undefined
  /** Unix seconds that a moved file keeps; otherwise the operation's own time counts. */
  readonly updatedS?: number | undefined
  /** Hashes of the operations whose word about this name it replaces; sorted, each once. */
  readonly supersedes: readonly Uint8Array[]
}

/** Largest size, time and sequence number: what six bytes of a row hold. */
export const MAX_STORED = 2 ** 48 - 1

/** Superseded operations in a whole operation, and in an effect. */
export const MAX_SUPERSEDED = 64

const HASH_BYTES = 32
const MAX_NAME_BYTES = 255
const KINDS = ['file', 'link', 'xlink', 'tagentry', 'taglink', 'del', 'resolve'] as const
type Kind = (typeof KINDS)[number]

/** The name of an effect in its repository: `f/<name>` or `t/<tag>/<name>`. */
export function effectKey({ name, tag }: Pick<Effect, 'name' | 'tag'>): string {
  return tag === undefined ? `f/${name}` : `t/${tag}/${name}`
}

/** The name and tag of a key that `effectKey` made. */
export function splitEffectKey(key: string): { name: string; tag?: string } {
  if (key.startsWith('f/')) return { name: key.slice(2) }
  const end = key.indexOf('/', 2)
  return { tag: key.slice(2, end), name: key.slice(end + 1) }
}

/** The name and tag of a key of somebody else; `undefined` for one outside the rule of names. */
function parseEffectKey(key: string): { name: string; tag?: string } | undefined {
  if (!/^(?:f|t\/[^/]+)\/[^/]+$/.test(key)) return undefined
  const place = splitEffectKey(key)
  return isName(place.name) && (place.tag === undefined || isName(place.tag)) ? place : undefined
}

/** Does a target belong under that name? A resolved deletion fits everywhere. */
export function isTargetOf({ name, tag }: Pick<Effect, 'name' | 'tag'>, target: Target): boolean {
  if ((target.kind === 'tagentry') !== (tag !== undefined)) return false
  if (target.kind === 'taglink') {
    return isTaglinkName(name) && isRepositoryName(target.repository) && isName(target.tag)
  }
  if (!hasFlistSuffix(name)) return false
  if (target.kind === 'file') return true
  if (target.kind !== 'link' && !isRepositoryName(target.repository)) return false
  return isFlistName(target.name)
}

export function encodeEffect(effect: Effect): CborValue {
  const { target, updatedS } = effect
  const meta = { ...(target && encodeMeta(target)), ...(updatedS !== undefined && { at: updatedS }) }
  return {
    k: effectKey(effect),
    kind: effect.type === 'put' && target ? target.kind : effect.type === 'resolve' ? 'resolve' : 'del',
    ...(target && { tgt: encodeTarget(target) }),
    ...(Object.keys(meta).length > 0 && { meta }),
    sup: effect.supersedes,
  }
}

function encodeTarget(target: Target): CborValue {
  switch (target.kind) {
    case 'file':
      return linkTo(target.flist)
    case 'link':
      return target.name
    case 'xlink':
    case 'tagentry':
      return { repo: target.repository, name: target.name }
    case 'taglink':
      return { repo: target.repository, tag: target.tag }
  }
}

function encodeMeta(target: Target): { size: number; md5: Uint8Array } | undefined {
  if (target.kind !== 'file') return undefined
  const md5 = fromHex(target.md5)
  if (md5?.length !== 16) throw new RangeError('an md5 has 32 hex digits')
  return { size: target.sizeBytes, md5 }
}

/** @throws {MalformedError} for anything that `encodeEffect` does not make. */
export function decodeEffect(value: CborValue, format: string): Effect {
  const fields = new RecordReader(value, format)
  const key = parseEffectKey(fields.text('k', 2 * MAX_NAME_BYTES + 3))
  if (key === undefined) throw fields.fail('k is outside the rule of names')
  const kind = fields.word('kind', KINDS)
  const meta = fields.has('meta') ? fields.record('meta') : undefined
  const target = fields.has('tgt') ? decodeTarget(fields, kind, key, meta) : undefined
  const updatedS = meta?.has('at') === true ? meta.integer('at', 0, MAX_STORED) : undefined
  const effect: Effect = {
    ...key,
    type: kind === 'del' ? 'delete' : kind === 'resolve' ? 'resolve' : 'put',
    ...(target && { target }),
    ...(updatedS !== undefined && { updatedS }),
    supersedes: fields.bytesList('sup', HASH_BYTES, MAX_SUPERSEDED),
  }
  fields.end()
  meta?.end()
  checkEffect(fields, effect, kind, meta)
  return effect
}

function checkEffect(fields: RecordReader, effect: Effect, kind: Kind, meta: RecordReader | undefined): void {
  const { target, type } = effect
  if ((type === 'put' && !target) || (type === 'delete' && (target !== undefined || meta !== undefined))) {
    throw fields.fail(`tgt does not go with ${kind}`)
  }
  if (target !== undefined && !isTargetOf(effect, target)) throw fields.fail('tgt does not go with k')
  if (target === undefined && meta !== undefined) throw fields.fail('meta without tgt')
  if (meta?.isEmpty === true) throw fields.fail('meta is empty')
}

/** The form of `tgt` says its kind, so that `resolve` can carry any. */
function decodeTarget(
  fields: RecordReader,
  kind: Kind,
  key: { tag?: string },
  meta: RecordReader | undefined,
): Target {
  const value = fields.value('tgt')
  const target = readFile(value, meta) ?? readLink(value) ?? readPair(fields, key)
  if (kind !== 'resolve' && target.kind !== kind) throw fields.fail('tgt does not go with kind')
  return target
}

function readFile(value: CborValue, meta: RecordReader | undefined): Target | undefined {
  const flist = linkDigest(value)
  if (flist === undefined || meta === undefined) return undefined
  return {
    kind: 'file',
    flist,
    sizeBytes: meta.integer('size', 1, MAX_STORED),
    md5: toHex(meta.bytes('md5', 16)),
  }
}

function readLink(value: CborValue): Target | undefined {
  return typeof value === 'string' ? { kind: 'link', name: value } : undefined
}

function readPair(fields: RecordReader, { tag }: { tag?: string }): Target {
  const pair = fields.record('tgt')
  const repository = pair.text('repo', MAX_NAME_BYTES)
  const target: Target = pair.has('tag')
    ? { kind: 'taglink', repository, tag: pair.text('tag', MAX_NAME_BYTES) }
    : { kind: tag === undefined ? 'xlink' : 'tagentry', repository, name: pair.text('name', MAX_NAME_BYTES) }
  pair.end()
  return target
}
