import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { kindOfAddress, type AddressKind } from '../../src/image/address.ts'

const KNOWN: Record<AddressKind, string[]> = {
  public: [
    '8.8.8.8',
    '1.1.1.1',
    '172.32.0.1',
    '100.128.0.1',
    '2606:4700::1111',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
  ],
  private: [
    '127.0.0.1',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '198.18.0.1',
    '::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::10.0.0.1',
    '2002:7f00:1::',
    '[::1]',
  ],
  never: [
    '169.254.169.254',
    '::ffff:169.254.169.254',
    '::ffff:a9fe:a9fe',
    '64:ff9b::169.254.169.254',
    '2002:a9fe:a9fe::1',
    '0.0.0.0',
    '255.255.255.255',
    '224.0.0.1',
    '240.0.0.1',
    '192.0.0.192',
    '::',
    'fe80::1',
    'fe80::1%eth0',
    'ff02::1',
    '2001::1',
    '2001:db8::1',
    '::127.0.0.1',
    'fec0::1',
    'localhost',
    '',
    '127.1',
  ],
}

describe('an address', () => {
  for (const [kind, addresses] of Object.entries(KNOWN)) {
    it(`is ${kind}: ${addresses.join(' ')}`, () => {
      for (const address of addresses) assert.equal(kindOfAddress(address), kind, address)
    })
  }

  it('in IPv6 clothes is what it is without', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const kind = kindOfAddress(address)
        const hex = Buffer.from(address.split('.').map(Number)).toString('hex')
        assert.equal(kindOfAddress(`::ffff:${address}`), kind)
        assert.equal(kindOfAddress(`0:0:0:0:0:FFFF:${hex.slice(0, 4)}:${hex.slice(4)}`), kind)
        assert.equal(kindOfAddress(`64:ff9b::${hex.slice(0, 4)}:${hex.slice(4)}`), kind)
        assert.equal(kindOfAddress(`2002:${hex.slice(0, 4)}:${hex.slice(4)}::1`), kind)
      }),
    )
  })
})
