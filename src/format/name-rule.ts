/**
 * The rule of names (replication.md 2.2 and Settled points): what a repository, a flist or a tag may be called.
 * Refused, never changed: two spellings of one name must not become two names, or one. Pure, because operations
 * of other nodes are held to it too; repo/names.ts is the way in for text of clients.
 */
const MAX_NAME_BYTES = 255

/** Slashes, control characters, bidirectional controls, and half a surrogate pair. */
const FORBIDDEN = /[/\\\p{Cc}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

/** Taken by routes, in the place where a repository stands in a URL. */
const RESERVED =
  /^(?:me|api|static|tags|listen|upload|upload-flist|merge|docker-convert|search|login.*|logout|token|callback_.*|readonly|healthz|metrics|zhub)$/

/** 1 to 255 bytes of UTF-8 in NFC, suffix included; no leading dot, no trailing dot or space. */
export function isName(text: string): boolean {
  if (text === '' || text.startsWith('.') || text.endsWith('.') || text.endsWith(' ')) return false
  // The length of the string first: normalising costs.
  if (text.length > MAX_NAME_BYTES || Buffer.byteLength(text) > MAX_NAME_BYTES) return false
  return !FORBIDDEN.test(text) && text.normalize('NFC') === text
}

/** A name that ends in `.flist` or `.fl`: what files, links and tag entries are stored under. */
export function isFlistName(text: string): boolean {
  return isName(text) && hasFlistSuffix(text)
}

/** A name without such an ending: what a link to a tag is stored under. */
export function isTaglinkName(text: string): boolean {
  return isName(text) && !hasFlistSuffix(text)
}

export function isRepositoryName(text: string): boolean {
  return isName(text) && !RESERVED.test(text)
}

export function hasFlistSuffix(text: string): boolean {
  return text.endsWith('.flist') || text.endsWith('.fl')
}
