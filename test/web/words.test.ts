import assert from 'node:assert/strict'
import { it } from 'node:test'
import { counted, pathOf, sizeText, time, withQuery } from '../../src/web/words.ts'

it('sizes are whole bytes, then one digit of the largest unit that fits', () => {
  const texts = [0, 1023, 1024, 1536, 1024 ** 2, 5 * 1024 ** 4, 9 * 1024 ** 5].map(sizeText)
  assert.deepEqual(texts, ['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '1.0 MiB', '5.0 TiB', '9216.0 TiB'])
})

it('paths and queries keep whatever is in a name', () => {
  assert.equal(pathOf('a b', 'x/y?#%.flist'), '/a%20b/x%2Fy%3F%23%25.flist')
  assert.equal(withQuery('/a', { q: 'x&y', from: undefined }), '/a?q=x%26y')
  assert.equal(withQuery('/a', { from: undefined }), '/a')
})

it('times are UTC, and one that is none is a dash', () => {
  assert.match(time(1_700_000_000).toString(), /datetime="2023-11-14T22:13:20.000Z">2023-11-14 22:13</)
  assert.equal(time(Number.NaN).toString(), '–')
})

it('one is one, more are many', () => {
  assert.deepEqual([counted(1, 'entry', 'entries'), counted(2000, 'file')], ['1 entry', '2,000 files'])
})
