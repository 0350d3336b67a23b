import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { boxPublicKey, openBox } from '../../src/format/box.ts'

interface Recorded {
  readonly hubPrivateKey: string
  readonly hubPublicKey: string
  readonly userEd25519: string
  readonly nonce: string
  readonly ciphertext: string
  readonly plaintext: string
}

const hex = (text: string) => Buffer.from(text, 'hex')
const { boxes } = JSON.parse(await readFile('test/golden/login/boxes.json', 'utf8')) as { boxes: Recorded[] }

describe('a box', () => {
  for (const [at, box] of boxes.entries()) {
    const { nonce, ciphertext } = { nonce: hex(box.nonce), ciphertext: hex(box.ciphertext) }
    const [hub, user] = [hex(box.hubPrivateKey), hex(box.userEd25519)]

    it(`of libsodium opens (${at})`, () => {
      assert.equal(Buffer.from(boxPublicKey(hub)).toString('hex'), box.hubPublicKey)
      const opened = openBox(hub, user, { nonce, ciphertext }) ?? assert.fail('closed')
      assert.equal(Buffer.from(opened).toString('hex'), box.plaintext)
    })

    it(`stays closed with any byte changed (${at})`, () => {
      for (let byte = 0; byte < ciphertext.length; byte++) {
        const changed = Buffer.from(ciphertext)
        changed[byte] = (changed[byte] ?? 0) ^ 1
        assert.equal(openBox(hub, user, { nonce, ciphertext: changed }), undefined)
      }
      const otherNonce = Buffer.from(nonce).fill(9, 0, 1)
      assert.equal(openBox(hub, user, { nonce: otherNonce, ciphertext }), undefined)
      const otherHub = Buffer.from(hub).fill(77, 8, 9)
      assert.equal(openBox(otherHub, user, { nonce, ciphertext }), undefined)
    })
  }

  it('of no box at all stays closed', () => {
    const key = Buffer.alloc(32, 1)
    const shapes: Array<[sender: number, nonce: number, ciphertext: number]> = [
      [32, 24, 0],
      [32, 24, 15],
      [32, 23, 32],
      [31, 24, 32],
      [0, 0, 0],
    ]
    for (const [sender, nonce, ciphertext] of shapes) {
      const box = { nonce: Buffer.alloc(nonce), ciphertext: Buffer.alloc(ciphertext) }
      assert.equal(openBox(key, Buffer.alloc(sender, 2), box), undefined)
    }
  })

  it('from a key of small order stays closed', () => {
    const box = { nonce: Buffer.alloc(24), ciphertext: Buffer.alloc(32) }
    const [one, minusOne] = [
      Buffer.alloc(32).fill(1, 0, 1),
      Buffer.alloc(32, 0xff).fill(0xec, 0, 1).fill(0x7f, 31),
    ]
    for (const key of [one, minusOne, Buffer.alloc(32)]) {
      assert.equal(openBox(Buffer.alloc(32, 1), key, box), undefined)
    }
  })
})
