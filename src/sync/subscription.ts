import type { Holds } from '../repo/held-revision.ts'
import type { FetchedFlists, FlistStore } from '../store/flist-store.ts'

/** Which repositories a node keeps whole, chunks and all (replication design 2.12). Operations it takes of all. */
export interface Subscription {
  /** Is everything kept that a name of this repository leads to? */
  wants(repository: string): boolean
  /** As the setting says it. */
  readonly text: string
}

export const MIRROR: Subscription = { wants: () => true, text: 'mirror' }
export const CACHE: Subscription = { wants: () => false, text: 'cache' }

/** What decides which revision of a name is shown: of what is not subscribed always the one that operations say. */
export function holdsOf(
  { wants }: Subscription,
  flists: Pick<FlistStore, 'descriptor'> & Pick<FetchedFlists, 'isComplete'>,
): Holds {
  return (repository, flist) => {
    if (!wants(repository) || flists.isComplete(flist)) return 'whole'
    return flists.descriptor(flist) === undefined ? 'absent' : 'partial'
  }
}

/** Of one setting; ours. */
const MAX_PATTERNS = 1000

/** `mirror`, `cache` or `repos:` and patterns, in which `*` is any run of characters; `undefined` for anything else. */
export function parseSubscription(text: string): Subscription | undefined {
  if (text === MIRROR.text) return MIRROR
  if (text === CACHE.text) return CACHE
  if (!text.startsWith('repos:')) return undefined
  const patterns = text
    .slice('repos:'.length)
    .split(',')
    .map((pattern) => pattern.trim())
  if (patterns.includes('') || patterns.length > MAX_PATTERNS) return undefined
  return { wants: (repository) => patterns.some((pattern) => matches(pattern, repository)), text }
}

/** In time linear in the name for each star, whatever the pattern: no regular expression. */
function matches(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  if (rest.length === 0) return name === pattern
  const last = rest.pop() ?? ''
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last))
    return false
  const end = name.length - last.length
  let at = first.length
  for (const piece of rest) {
    const found = name.indexOf(piece, at)
    if (found < 0 || found + piece.length > end) return false
    at = found + piece.length
  }
  return true
}
