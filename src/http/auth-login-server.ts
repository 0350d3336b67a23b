/** Asks a ThreeFold Connect login server for a user's key: `GET <url>/api/users/<doubleName>` (hub-api.md §6). */
import { PUBLIC_KEY_BYTES } from '../format/ed25519.ts'
import { UnavailableError } from '../errors.ts'
import type { PublicKeyOf } from '../repo/three-bot-login.ts'
import { Semaphore } from '../util/semaphore.ts'
import { KIB, SECOND_MS } from '../util/units.ts'

const WITHIN_MS = 10 * SECOND_MS
const MAX_ANSWER_BYTES = 64 * KIB
/** More wait: logins are few, and a slow login server must not hold the node's sockets. */
const MAX_AT_ONCE = 4

export interface LoginServerOptions {
  readonly withinMs?: number
}

/** Rejects with an {UnavailableError} when the server does not answer in time, or answers something else. */
export function loginServer(url: string, { withinMs = WITHIN_MS }: LoginServerOptions = {}): PublicKeyOf {
  const turns = new Semaphore(MAX_AT_ONCE)
  return async (user) => {
    const signal = AbortSignal.timeout(withinMs)
    const askUser = () => askKey(`${url}/api/users/${encodeURIComponent(user)}`, signal)
    try {
      return await turns.run(askUser, { signal })
    } catch (cause) {
      throw new UnavailableError(`the login server cannot tell the key of ${user}`, { cause })
    }
  }
}

async function askKey(url: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const response = await fetch(url, { signal, redirect: 'error', headers: { Accept: 'application/json' } })
  if (response.status === 404) {
    await response.body?.cancel()
    return undefined
  }
  if (!response.ok) throw new Error(`it answered ${response.status}`)
  const answer: unknown = JSON.parse(await boundedText(response))
  const text = typeof answer === 'object' && answer !== null && 'publicKey' in answer ? answer.publicKey : ''
  const key = Buffer.from(typeof text === 'string' ? text : '', 'base64')
  if (key.length !== PUBLIC_KEY_BYTES) throw new Error('its answer holds no key')
  return new Uint8Array(key)
}

async function boundedText(response: Response): Promise<string> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += piece.length
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`its answer is over ${MAX_ANSWER_BYTES} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString()
}
