/** Sign-in by ThreeFold Connect (hub-api.md 6): what its login server sends a browser back with. */
import { InvalidInputError } from '../errors.ts'
import { boxPublicKey, openBox } from '../format/box.ts'
import { SIGNATURE_BYTES, verifySignature } from '../format/ed25519.ts'
import { isUtf8, toUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'
import type { LoginKeys } from './login-keys.ts'
import { ADMINISTRATOR, parseRepositoryName } from './names.ts'

/** The messages of the original hub. */
const NO_STATE = 'Invalid state received. Cannot authenticate request!'
const NOT_SIGNED = 'Unable to verify state signature, denied.'
const NOT_OPENED = 'Unable to decrypt payload, denied.'
const NO_EMAIL = 'Email unverified, access denied.'

const MAX_ATTEMPT_BYTES = 16 * KIB

/** The state of a login that this browser began and did not finish. */
export interface PendingState {
  /** Looks only: true as long as the login was not finished. */
  isOpen(state: string): boolean
  /** Finishes it. False when another request was first. */
  use(state: string): boolean
}

/** The Ed25519 key that the login server knows a user by; `undefined` for a user whom it does not know. */
export type PublicKeyOf = (user: string) => Promise<Uint8Array | undefined>

export interface ThreeBotOptions {
  /** X25519, 32 bytes. */
  readonly privateKey: Uint8Array
  /** The name that the login server knows this hub by: the host it sends browsers back to. */
  readonly appId: string
  readonly loginUrl: string
}

/** A message that a user signed, before anything of it is believed. */
interface Attempt {
  readonly user: string
  readonly signature: Uint8Array
  readonly message: Uint8Array
  readonly claims: Claims
}

type Claims = Readonly<Record<string, unknown>>

export class ThreeBotLogin {
  readonly #options: ThreeBotOptions
  readonly #publicKeyOf: PublicKeyOf
  readonly keys: LoginKeys

  constructor(options: ThreeBotOptions, keys: LoginKeys, publicKeyOf: PublicKeyOf) {
    this.#options = options
    this.#publicKeyOf = publicKeyOf
    this.keys = keys
  }

  /** Where a browser goes to sign in; `callback` is the path where it comes back. */
  url(state: string, callback: string): string {
    const { appId, privateKey, loginUrl } = this.#options
    const query = new URLSearchParams({
      appid: appId,
      publickey: Buffer.from(boxPublicKey(privateKey)).toString('base64'),
      state,
      redirecturl: callback,
      scope: '{}',
    })
    return `${loginUrl}/?${query.toString()}`
  }

  /**
   * The user whom a signed attempt proves; the state is used up then, and the user's key pinned.
   * @throws {InvalidInputError} with the original's message; what `PublicKeyOf` throws.
   */
  async signIn(text: string, pending: PendingState): Promise<string> {
    const attempt = parseAttempt(text)
    const state = attempt?.claims['signedState']
    // Before anything that costs: who began no login here makes this node ask nobody.
    if (attempt === undefined || typeof state !== 'string' || !pending.isOpen(state))
      throw new InvalidInputError(NO_STATE)
    const user = parseRepositoryName(attempt.user)
    if (user === ADMINISTRATOR) throw new InvalidInputError('invalid name')
    const publicKey = await this.#keyOf(user)
    this.#checkSignature(attempt, publicKey)
    checkEmail(this.#payload(attempt.claims, publicKey))
    if (!pending.use(state)) throw new InvalidInputError(NO_STATE)
    const pinned = await this.keys.pin(user, publicKey)
    if (Buffer.compare(pinned.publicKey, publicKey) !== 0) throw new InvalidInputError(NOT_SIGNED)
    return user
  }

  async #keyOf(user: string): Promise<Uint8Array> {
    const key = this.keys.find(user)?.publicKey ?? (await this.#publicKeyOf(user))
    if (key === undefined) throw new InvalidInputError(NOT_SIGNED)
    return key
  }

  /** An app that says which hub it signed for is held to it: else another site could pass our state on as its own. */
  #checkSignature({ signature, message, claims: { appId } }: Attempt, publicKey: Uint8Array): void {
    const isForUs = appId === undefined || appId === this.#options.appId
    if (!isForUs || !verifySignature(publicKey, message, signature)) throw new InvalidInputError(NOT_SIGNED)
  }

  #payload({ data }: Claims, publicKey: Uint8Array): Claims {
    const { nonce, ciphertext } = isObject(data) ? data : {}
    const box = { nonce: decodeBase64(nonce), ciphertext: decodeBase64(ciphertext) }
    const opened = openBox(this.#options.privateKey, publicKey, box)
    const payload = opened === undefined ? undefined : parseObject(opened)
    if (payload === undefined) throw new InvalidInputError(NOT_OPENED)
    return payload
  }
}

function parseAttempt(text: string): Attempt | undefined {
  if (text.length > MAX_ATTEMPT_BYTES) return undefined
  const outer = parseObject(Buffer.from(text))
  const signed = decodeBase64(outer?.['signedAttempt'])
  const user = outer?.['doubleName']
  if (typeof user !== 'string') return undefined
  const message = signed.subarray(SIGNATURE_BYTES)
  const claims = parseObject(message)
  return claims && { user, signature: signed.subarray(0, SIGNATURE_BYTES), message, claims }
}

/** No email passes, one that is not said to be verified does not; `false` passes, as recorded. */
function checkEmail({ email }: Claims): void {
  if (email === undefined) return
  const verified = isObject(email) ? email['verified'] : undefined
  if (verified === undefined || verified === null) throw new InvalidInputError(NO_EMAIL)
}

function decodeBase64(value: unknown): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value, 'base64') : new Uint8Array(0)
}

function parseObject(bytes: Uint8Array): Claims | undefined {
  if (!isUtf8(bytes)) return undefined
  try {
    const value: unknown = JSON.parse(toUtf8(bytes))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Claims {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
