import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { formatBackend, janssonText, parseBackend, parseMetadataValue } from '../../src/flist/metadata.ts'
import { FlistReader } from '../../src/flist/reader.ts'
import { recordedData } from '../doubles/golden.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()

describe('metadata values', () => {
  it('are objects and arrays where the text is one, else the text', () => {
    assert.deepEqual(parseMetadataValue('{"a": [1, null]}'), { a: [1, null] })
    assert.deepEqual(parseMetadataValue(' ["x"]'), ['x'])
    for (const text of [
      '',
      '5',
      'true',
      'null',
      '"x"',
      '{',
      '{"a": }',
      'plain text',
      `${'['.repeat(5_000)}${']'.repeat(5_000)}`,
    ]) {
      assert.equal(parseMetadataValue(text), text)
    }
  })

  it('are written as jansson writes them', () => {
    const value = { 'tcp/80': 8080, volume: { '/data': {} }, list: ['ü', true, null], empty: [] }
    assert.equal(
      janssonText(value),
      '{"tcp/80": 8080, "volume": {"/data": {}}, "list": ["ü", true, null], "empty": []}',
    )
  })

  it('give the address of a backend, if they hold one', () => {
    const address = { namespace: 'default', host: 'hub.grid.tf', port: 9900 }
    assert.deepEqual(parseBackend(formatBackend(address)), address)
    assert.deepEqual(parseBackend('{"host": "hub.grid.tf", "port": 9900, "password": "x"}'), address)
    for (const text of [
      '',
      '[]',
      '{}',
      '{"host": "h"}',
      '{"host": "", "port": 1}',
      '{"host": "h", "port": 0}',
      '{"host": "h", "port": 70000}',
      '{"host": "h", "port": "1"}',
      '{"host": "h", "port": 1, "namespace": 2}',
    ]) {
      assert.equal(parseBackend(text), undefined, text)
    }
  })

  const golden = recordedData('flist-v1', 'c', 'c.flist')
  it('are, from the reference, what we would write', { skip: golden.skip }, () => {
    const reader = new FlistReader(readFileSync(golden.path), { temporaryDirectory: folder.path })
    const rows = reader.metadata()
    reader.close()
    assert.equal(rows.length, 7)
    for (const [key, text] of rows) {
      const value = parseMetadataValue(text)
      assert.equal(typeof value === 'string' ? value : janssonText(value), text, key)
    }
  })
})
