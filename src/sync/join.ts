/**
 * Joining a realm (SYNC.md): a guest shows the secret of an invite, and is told everything that the realm has decided.
 */
import {
  ConflictError,
  ForbiddenError,
  HubError,
  LimitError,
  MalformedError,
  UnavailableError,
} from '../errors.ts'
import { MAX_OBJECT_BYTES } from '../format/descriptor.ts'
import type { Invite } from '../format/invite.ts'
import {
  decodeJoinAnswer,
  decodeJoinRequest,
  encodeJoinAnswer,
  encodeJoinRequest,
  MAX_JOIN_BYTES,
} from '../format/join-message.ts'
import type { JoinRequest } from '../format/join-message.ts'
import type { Channel, PeerHost, ProtocolOptions } from '../net/peer-host.ts'
import type { Logger } from '../util/logger.ts'
import { MIB, SECOND_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'

export const JOIN_PROTOCOL = '/zhub/join/1.0.0'
const OPTIONS: ProtocolOptions = { maxMessageBytes: MAX_JOIN_BYTES, maxChannelsPerPeer: 1, forGuests: true }

/** What the governance of a realm may come to: repo/governance-set.ts. */
const MAX_RECORDS = 100_000
const MAX_RECORDS_BYTES = 32 * MIB
const ANSWER_WITHIN_MS = 30 * SECOND_MS
const PAGE_ITEMS = 1024

export interface JoinServerDeps {
  /** Checks the request and admits. @throws {HubError} why not. */
  readonly admit: (node: Uint8Array, request: JoinRequest) => Promise<void>
  /** Root documents and records, once the node is admitted. */
  readonly records: () => Iterable<Uint8Array>
  readonly log: Logger
}

/** Answers guests that want to join. */
export function serveJoin(host: PeerHost, deps: JoinServerDeps): void {
  host.handle(JOIN_PROTOCOL, OPTIONS, (channel) => {
    void answer(channel, deps).catch((error: unknown) => {
      channel.abort(error instanceof Error ? error : new Error('the channel broke', { cause: error }))
      deps.log.debug('a guest did not join', { error: String(error) })
    })
  })
}

/** One request: a guest that asks on is not heard. */
async function answer(channel: Channel, { admit, records }: JoinServerDeps): Promise<void> {
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS)
  const stop = () => channel.abort(new UnavailableError('joining took too long'))
  signal.addEventListener('abort', stop, { once: true })
  try {
    for await (const bytes of channel.messages()) {
      try {
        await admit(channel.peer, decodeJoinRequest(bytes))
      } catch (error) {
        if (!(error instanceof HubError)) throw error
        await channel.send(encodeJoinAnswer({ code: error.code, message: error.message }), { signal })
        break
      }
      for (const page of pagesOf([...records()])) await channel.send(encodeJoinAnswer(page), { signal })
      break
    }
    await channel.close()
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function* pagesOf(items: readonly Uint8Array[]): Generator<{ items: Uint8Array[]; hasMore: boolean }> {
  let page: Uint8Array[] = []
  let bytes = 0
  for (const item of items) {
    if (page.length > 0 && (page.length === PAGE_ITEMS || bytes + item.length + 5 > MAX_OBJECT_BYTES)) {
      yield { items: page, hasMore: true }
      page = []
      bytes = 0
    }
    page.push(item)
    bytes += item.length + 5
  }
  yield { items: page, hasMore: false }
}

export interface Joined {
  /** All root documents and records that the inviter has. What they are worth the caller finds out. */
  readonly records: readonly Uint8Array[]
  /** Its key. */
  readonly inviter: Uint8Array
}

export type JoinSelf = Pick<JoinRequest, 'tokenKey' | 'name' | 'addresses'>

/**
 * Asks the inviter to be admitted, at each of its addresses in turn.
 * @throws {ForbiddenError | ConflictError} when the inviter refuses. @throws {UnavailableError} when nobody is there.
 */
export async function requestJoin(
  host: PeerHost,
  { realm, secret, addresses }: Invite,
  self: JoinSelf,
  options: AbortOptions = {},
): Promise<Joined> {
  let failure: unknown = new UnavailableError('the invite names no address')
  for (const address of addresses) {
    options.signal?.throwIfAborted()
    try {
      const inviter = await host.connect(address, options)
      const channel = await host.open(inviter, JOIN_PROTOCOL, { ...OPTIONS, ...options })
      return { inviter, records: await ask(channel, { realm, secret, ...self }, options) }
    } catch (error) {
      options.signal?.throwIfAborted()
      if (!(error instanceof UnavailableError)) throw error
      failure = error
    }
  }
  throw failure
}

async function ask(channel: Channel, request: JoinRequest, { signal }: AbortOptions): Promise<Uint8Array[]> {
  const timer = setTimeout(
    () => channel.abort(new UnavailableError('the inviter does not answer')),
    ANSWER_WITHIN_MS,
  )
  const stop = () => channel.abort(new UnavailableError('this node stops'))
  signal?.addEventListener('abort', stop, { once: true })
  try {
    await channel.send(encodeJoinRequest(request))
    return await collect(channel)
  } catch (error) {
    channel.abort(error instanceof Error ? error : new Error('the channel broke', { cause: error }))
    throw error instanceof HubError
      ? error
      : new UnavailableError('the line to the inviter broke', { cause: error })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

async function collect(channel: Channel): Promise<Uint8Array[]> {
  const records: Uint8Array[] = []
  let bytes = 0
  for await (const message of channel.messages()) {
    const page = decodeJoinAnswer(message)
    if ('code' in page) throw refusal(page)
    for (const item of page.items) {
      bytes += item.length
      records.push(item)
    }
    if (records.length > MAX_RECORDS) throw new LimitError('governance of the realm', MAX_RECORDS, 'records')
    if (bytes > MAX_RECORDS_BYTES) throw new LimitError('governance of the realm', MAX_RECORDS_BYTES, 'bytes')
    if (page.items.length === 0 && page.hasMore) throw new MalformedError('join message', 'an empty page')
    if (!page.hasMore) {
      await channel.close()
      return records
    }
  }
  throw new UnavailableError('the inviter ended in the middle of its answer')
}

/** Those that stay as they are when asked again, and others. */
function refusal({ code, message }: { readonly code: string; readonly message: string }): HubError {
  const text = `the inviter refuses: ${message}`
  if (code === 'HUB_FORBIDDEN' || code === 'HUB_INVALID_INPUT') return new ForbiddenError(text)
  return code === 'HUB_CONFLICT' ? new ConflictError(text) : new UnavailableError(text)
}
