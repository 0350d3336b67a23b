import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { InvalidInputError } from '../../src/errors.ts'
import { kindOfAddress } from '../../src/image/address.ts'
import { parseImageReference } from '../../src/image/reference.ts'

describe('Where a stranger would like a node to ask', () => {
  it('metadata services are never asked, also those outside of the link-local ranges', () => {
    for (const address of ['100.100.100.200', '168.63.129.16', '::ffff:168.63.129.16', 'fd00:ec2::254'])
      assert.equal(kindOfAddress(address), 'never', address)
    assert.equal(kindOfAddress('168.63.129.17'), 'public')
    assert.equal(kindOfAddress('100.100.100.201'), 'private')
  })

  it('a registry that makes no URL is refused as no registry', () => {
    for (const image of ['reg.test:99999/app', '[::1:::2]/app', '[1.2.3.4]/app', '1.2.3.4.5/app'])
      assert.throws(() => parseImageReference(image), InvalidInputError, image)
  })
})
