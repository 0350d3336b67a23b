/** What a departure says about an upload, from what is uploaded: refused, or taken where the original refuses it. */
import { spawnSync } from 'node:child_process'
import { isFlistName, isRepositoryName } from '../../src/format/name-rule.ts'
import { expectedOf } from './comparison.ts'
import type { Model } from './model.ts'
import type { PlaceKey } from './recorded-state.ts'
import type { RecordedCase } from './recorded.ts'
import type { Asked } from './route-of.ts'

export type Verdict =
  | { readonly kind: 'as recorded' }
  | { readonly kind: 'refused'; readonly departure: number; readonly status: number }
  | { readonly kind: 'taken'; readonly departure: number; readonly name: string }
  /** The name becomes a flist, where the original writes through the link that it was (5). */
  | {
      readonly kind: 'link replaced'
      readonly departure: number
      readonly link: PlaceKey
      readonly target: PlaceKey
    }

const AS_RECORDED: Verdict = { kind: 'as recorded' }

export function verdictOf(
  asked: Asked,
  one: RecordedCase,
  body: Buffer,
  { isStoreDown, model, actor }: { isStoreDown: boolean; model: Model; actor: string },
): Verdict {
  const isUpload = asked.kind === 'upload' || asked.kind === 'upload-flist'
  if (!isUpload || isRefusedAnyway(one)) return AS_RECORDED
  const file = fileOf(body)
  if (file === undefined) return AS_RECORDED
  if (!isRepositoryName(actor)) return { kind: 'refused', departure: 7, status: 400 }
  const isTaken = (asked.kind === 'upload' ? /\.(?:tar\.gz|tgz|tar|tar\.zst)$/ : /\.flist$/).test(
    file.filename,
  )
  if (!isTaken) return AS_RECORDED
  if (isStoreDown) return { kind: 'refused', departure: 2, status: 507 }
  return asked.kind === 'upload' ? ofArchive(one, file) : ofFlist(one, file, model, actor)
}

/** By who sent it, or because nothing may be written. */
function isRefusedAnyway({ profile, response }: RecordedCase): boolean {
  return profile === 'readonly' || response?.status === 401 || response?.status === 403
}

function ofFlist(one: RecordedCase, { filename }: FormFile, model: Model, actor: string): Verdict {
  const recorded = expectedOf(one)
  if (recorded?.status === 500) {
    return recorded.text === undefined ? { kind: 'refused', departure: 3, status: 400 } : AS_RECORDED
  }
  const original = one.request.headers['X-Original-Name'] ?? filename
  const link = `${actor}/${original.slice(original.lastIndexOf('/') + 1)}`
  const target = model.linkTarget(link)
  return target === undefined ? AS_RECORDED : { kind: 'link replaced', departure: 5, link, target }
}

function ofArchive({ request }: RecordedCase, { filename, content }: FormFile): Verdict {
  const name = chosenName(request.headers['X-Original-Name'])
  const departure = departureOf(name, membersOf(content))
  if (departure !== undefined) return { kind: 'refused', departure, status: 400 }
  if (filename.endsWith('.tar.gz')) return AS_RECORDED
  return { kind: 'taken', departure: 23, name: name ?? withoutArchiveSuffix(filename) }
}

function departureOf(name: string | undefined, members: readonly string[] | undefined): number | undefined {
  if (name !== undefined && !isFlistName(name)) return 7
  if (members === undefined || members.length === 0) return 1
  return members.some((member) => member.split('/').includes('..')) ? 24 : undefined
}

/** The name of the header; `undefined` when there is none, and the cleaned file name is taken. */
function chosenName(original: string | undefined): string | undefined {
  if (original === undefined || original === '') return undefined
  return withoutArchiveSuffix(original.slice(original.lastIndexOf('/') + 1))
}

function withoutArchiveSuffix(name: string): string {
  const bare = name.replace(/\.(?:tar\.zst|tar\.gz|tgz|tar)$/, '')
  return bare.endsWith('.flist') ? bare : `${bare}.flist`
}

/** As GNU tar lists them; `undefined` when it finds something wrong. */
function membersOf(archive: Buffer): string[] | undefined {
  if (archive.length === 0) return undefined
  const isGzip = archive[0] === 0x1f && archive[1] === 0x8b
  const listed = spawnSync('tar', [isGzip ? '-tzPf' : '-tPf', '-'], { input: archive, maxBuffer: 1 << 26 })
  return listed.status === 0
    ? listed.stdout
        .toString()
        .split('\n')
        .filter((line) => line !== '')
    : undefined
}

interface FormFile {
  readonly filename: string
  readonly content: Buffer
}

/** The part `file` of a form, as these recordings write it. */
function fileOf(body: Buffer): FormFile | undefined {
  const text = body.toString('latin1')
  const match = /^--(\S+)\r\n/.exec(text)
  const head = /Content-Disposition: form-data; name="file"; filename="([^"]*)"[^]*?\r\n\r\n/.exec(text)
  if (match === null || head === null) return undefined
  const start = head.index + head[0].length
  const end = text.indexOf(`\r\n--${match[1]}`, start)
  return { filename: Buffer.from(head[1] ?? '', 'latin1').toString(), content: body.subarray(start, end) }
}
