import { checkFlist } from '../flist/check.ts'
import type { FlistCounts } from '../flist/entry.ts'
import { PROTECTED_KEYS } from '../flist/metadata.ts'
import { hasFlistSuffix } from '../format/name-rule.ts'
import type { Lease, NewFlist } from '../store/flist-store.ts'
import { fromUtf8 } from '../util/bytes.ts'
import { InvalidInputError, LimitError, MalformedError } from '../errors.ts'
import type { Call } from './call.ts'
import { refuse } from './errors.ts'
import { countsView } from './flist-views.ts'
import { readForm, type FormFile, type FormOptions } from './form.ts'
import { checkName } from './names.ts'
import { publishFlist } from './publish-flist.ts'
import { pythonJson } from './python.ts'
import type { Site } from './site.ts'
import { archiveFlistName, flistFlistName, isArchiveName } from './upload-name.ts'
import { UploadPace } from './upload-pace.ts'

export interface Uploaded {
  readonly name: string
  readonly flist: NewFlist
  readonly counts: FlistCounts
  /** The `response` member of the answer, style A. */
  readonly response: Uint8Array
}

/**
 * Archives and flists going in: chunks, then flist, then operation, each durable before the next. Both read the form
 * of a request and publish its file in the caller's repository.
 * @throws {Refusal} in the contract's words; {MalformedError | LimitError | DiskFullError}.
 */
export interface Uploads {
  archive(call: Call): Promise<Uploaded>
  flist(call: Call): Promise<Uploaded>
}

export function createUploads(site: Site): Uploads {
  const { limits } = site.options
  const pace = new UploadPace(limits.uploads)
  const { floorBytesPerS } = pace
  return {
    archive: (call) => {
      const form = { fileField: 'file', maxFileBytes: limits.maxUploadBytes, floorBytesPerS }
      return pace.run(() => publish(site, call, form, (file, lease) => takeArchive(site, call, file, lease)))
    },
    flist: (call) => {
      const form = { fileField: 'file', maxFileBytes: limits.maxFlistBytes }
      return publish(site, call, form, (file, lease) => takeFlist(site, call, file, lease))
    },
  }
}

/** Nothing is visible before the operation is durable, and nothing but unreferenced chunks is left of a failure. */
async function publish(
  site: Site,
  { request, response, actor }: Call,
  form: FormOptions,
  take: (file: FormFile, lease: Lease) => Promise<Uploaded>,
): Promise<Uploaded> {
  const { leases, space } = site
  await space.require(0) // known content adds no chunk that would ask for room
  const lease = leases.open()
  try {
    const uploaded = await readForm(request, response, form, (file) => take(file, lease))
    if (uploaded === undefined) refuse(500, 'no file found')
    await publishFlist(site, actor(), { ...uploaded, lease })
    return uploaded
  } finally {
    lease.release()
  }
}

async function takeArchive(site: Site, call: Call, file: FormFile, lease: Lease): Promise<Uploaded> {
  if (file.filename === '') refuse(500, 'no file selected')
  if (!isArchiveName(file.filename)) refuse(500, 'this file is not allowed')
  const name = checkName(archiveFlistName(file.filename, originalName(call)))
  const metadata = () => metadataOf(file.fields)
  const signal = call.signal()
  const made = await site.ingest(file.body, { metadata, lease, signal })
  const { flist, counts } = made
  return { name, flist, counts, response: fromUtf8(pythonJson(countsView(counts))) }
}

async function takeFlist(site: Site, call: Call, file: FormFile, lease: Lease): Promise<Uploaded> {
  if (file.filename === '') refuse(500, 'no file selected')
  if (!hasFlistSuffix(file.filename)) refuse(500, 'this file is not allowed')
  const name = checkName(flistFlistName(file.filename, originalName(call)))
  const bytes = await collect(file.body, site.options.limits.maxFlistBytes)
  if (!name.endsWith('.flist')) throw new InvalidInputError(`${name}: this release takes .flist files only`)
  return { name, ...(await checked(site, bytes, lease, call.signal())) }
}

/** The flist as it is stored, once it is known to be whole and all of its content to be here. */
async function checked(
  { inspector, isMember, chunks }: Site,
  uploaded: Uint8Array,
  lease: Lease,
  signal: AbortSignal,
): Promise<Pick<Uploaded, 'flist' | 'counts' | 'response'>> {
  const bytes = await inspector.canonical(uploaded, isMember, { signal })
  const check = await checkFlist(bytes, { inspector, chunks, lease }, { signal })
  if (!check.isComplete) {
    if (check.missingChunks === 0) throw new MalformedError('flist', check.reasons.join('; '))
    refuse(500, 'unauthorized upload, contents is not fully present on backend')
  }
  const { chunkIds, counts, dump } = check
  return { flist: { format: 'zflist', bytes, chunkIds, files: counts.regular }, counts, response: dump }
}

function metadataOf(fields: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const rows = [...fields]
    .filter(([field]) => field.startsWith('metadata-'))
    .map(([field, value]) => [field.slice('metadata-'.length), value] as const)
  return new Map(rows.filter(([key]) => !PROTECTED_KEYS.has(key)))
}

function originalName({ request }: Call): string | undefined {
  const header = request.headers['x-original-name']
  return Array.isArray(header) ? header[0] : header
}

async function collect(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of body) {
    length += piece.length
    if (length > maxBytes) throw new LimitError('flist', maxBytes, 'bytes')
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
