import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

test('the example of OPERATIONS.md is the golden operation', async () => {
  const page = await readFile('src/format/OPERATIONS.md', 'utf8')
  const example = /```hex operation\n([^]*?)```/.exec(page)?.[1] ?? assert.fail('there is no example')
  const bytes = example.replaceAll(/\|.*|\s/g, '')
  const golden = await readFile('test/golden/operation/first.hex', 'utf8')
  assert.equal(bytes, golden.trim())
})
