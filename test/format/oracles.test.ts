/** Our hashes and signatures against independent implementations. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as ed25519 from '@noble/ed25519'
import { blake2b } from '@noble/hashes/blake2.js'
import { sha512 } from '@noble/hashes/sha2.js'
import fc from 'fast-check'
import { blake2b128, blake2b256, blake2b64 } from '../../src/format/blake2b.ts'
import { signingKey } from '../../src/format/ed25519.ts'

ed25519.hashes.sha512 = sha512

describe('against @noble', () => {
  it('BLAKE2b of each length is the same', () => {
    const property = fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
      assert.deepEqual([...blake2b64(bytes)], [...blake2b(bytes, { dkLen: 8 })])
      assert.deepEqual([...blake2b128(bytes)], [...blake2b(bytes, { dkLen: 16 })])
      assert.deepEqual([...blake2b256(bytes)], [...blake2b(bytes, { dkLen: 32 })])
    })
    fc.assert(property, { numRuns: 100 })
  })

  it('Ed25519 keys and signatures are the same', () => {
    const seed = fc.uint8Array({ minLength: 32, maxLength: 32 })
    const property = fc.property(seed, fc.uint8Array({ maxLength: 300 }), (secret, message) => {
      const key = signingKey(secret)
      assert.deepEqual([...key.publicKey], [...ed25519.getPublicKey(secret)])
      assert.deepEqual([...key.sign(message)], [...ed25519.sign(message, secret)])
    })
    fc.assert(property, { numRuns: 20 })
  })
})
