/** Opening the boxes of libsodium (`crypto_box`): X25519, HSalsa20, XSalsa20-Poly1305, for keys as 3Bot login uses them. */
import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto'
import { hsalsa, xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { asBuffer, concat } from '../util/bytes.ts'

export const BOX_KEY_BYTES = 32
export const BOX_NONCE_BYTES = 24

/** What stands before the raw key in PKCS #8 and in SubjectPublicKeyInfo (RFC 8410). */
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex')
const PUBLIC_PREFIX = Buffer.from('302a300506032b656e032100', 'hex')

/** The X25519 public key of a private one, 32 bytes each. */
export function boxPublicKey(privateKey: Uint8Array): Uint8Array {
  const spki = createPublicKey(importPrivate(privateKey)).export({ format: 'der', type: 'spki' })
  return new Uint8Array(spki.subarray(PUBLIC_PREFIX.length))
}

export interface Box {
  /** 24 bytes. */
  readonly nonce: Uint8Array
  /** Tag (16) and encrypted text. */
  readonly ciphertext: Uint8Array
}

/**
 * What the holder of an Ed25519 key put in a box for this X25519 key; the same key signs and, in its other form,
 * agrees on secrets (`crypto_sign_ed25519_pk_to_curve25519`). `undefined` when the box does not open.
 */
export function openBox(
  privateKey: Uint8Array,
  senderEd25519: Uint8Array,
  { nonce, ciphertext }: Box,
): Uint8Array | undefined {
  if (nonce.length !== BOX_NONCE_BYTES) return undefined
  try {
    const publicKey = importPublic(montgomery(senderEd25519))
    const shared = diffieHellman({ privateKey: importPrivate(privateKey), publicKey })
    return xsalsa20poly1305(boxKey(shared), nonce).decrypt(ciphertext)
  } catch {
    return undefined
  }
}

/** The box's key is HSalsa20 of the shared secret, with a nonce of zeros. */
function boxKey(shared: Uint8Array): Uint8Array {
  const key = new Uint32Array(8)
  hsalsa(words(Buffer.from('expand 32-byte k')), words(shared), new Uint32Array(4), key)
  return new Uint8Array(key.buffer)
}

/** A copy, for views need aligned memory. */
function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(Uint8Array.from(bytes).buffer)
}

const P = 2n ** 255n - 19n

/** u = (1 + y) / (1 - y), RFC 7748 4.1. Public keys only: nothing here is secret, so its time may vary. */
function montgomery(ed25519: Uint8Array): Uint8Array {
  if (ed25519.length !== BOX_KEY_BYTES) throw new RangeError('an Ed25519 key has 32 bytes')
  const y = BigInt('0x' + Buffer.from(ed25519).reverse().toString('hex')) & (2n ** 255n - 1n)
  const u = ((1n + y) * power((P + 1n - (y % P)) % P, P - 2n)) % P
  return Buffer.from(u.toString(16).padStart(64, '0'), 'hex').reverse()
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let factor = base, rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * factor) % P
    factor = (factor * factor) % P
  }
  return result
}

function importPrivate(key: Uint8Array) {
  if (key.length !== BOX_KEY_BYTES) throw new RangeError('an X25519 key has 32 bytes')
  return createPrivateKey({ key: asBuffer(concat([PRIVATE_PREFIX, key])), format: 'der', type: 'pkcs8' })
}

function importPublic(key: Uint8Array) {
  return createPublicKey({ key: asBuffer(concat([PUBLIC_PREFIX, key])), format: 'der', type: 'spki' })
}
