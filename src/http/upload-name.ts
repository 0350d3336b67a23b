/** From what a client calls its file to the name it is published under (hub-api.md §7, hub-departures 23 and 27). */
import { isUtf8, toUtf8 } from '../util/bytes.ts'
import { withSuffix } from '../repo/names.ts'
import { secureFilename } from './python.ts'

/** Longest first: the longest that fits is taken off, once. */
const ARCHIVE_SUFFIXES = ['.tar.zst', '.tar.gz', '.tgz', '.tar']

/** True for names whose archive we take; what the bytes are decides how they are read. Case-sensitive. */
export function isArchiveName(name: string): boolean {
  return ARCHIVE_SUFFIXES.some((suffix) => name.endsWith(suffix))
}

/** The published name of an uploaded archive. It may still be outside the rule of names: `apply` refuses it. */
export function archiveFlistName(filename: string, originalName: string | undefined): string {
  const name = chosenName(filename, originalName)
  const suffix = ARCHIVE_SUFFIXES.find((one) => name.endsWith(one)) ?? ''
  return withSuffix(name.slice(0, name.length - suffix.length))
}

/** The published name of an uploaded flist: the format that was sent keeps its suffix. */
export function flistFlistName(filename: string, originalName: string | undefined): string {
  const name = chosenName(filename, originalName)
  const suffix = filename.endsWith('.flist') ? '.flist' : '.fl'
  return name.endsWith(suffix) ? name : name + suffix
}

/** X-Original-Name wins, cut to its last segment and not cleaned; else the form's file name, cleaned. */
function chosenName(filename: string, originalName: string | undefined): string {
  if (originalName === undefined || originalName === '') return secureFilename(filename)
  const text = headerText(originalName)
  return text.slice(text.lastIndexOf('/') + 1)
}

/** Header values arrive as Latin-1; clients send UTF-8 in them. */
export function headerText(value: string): string {
  const bytes = Buffer.from(value, 'latin1')
  return isUtf8(bytes) ? toUtf8(bytes) : value
}
