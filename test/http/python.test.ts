import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { flaskJson, kilobytes, pythonJson, pythonRedump, secureFilename } from '../../src/http/python.ts'

test('style A and style B are the original’s spellings', () => {
  const value = { b: 'é\u007f\n"😀', a: [1, null, true, {}] }
  assert.equal(pythonJson(value), '{"b": "\\u00e9\\u007f\\n\\"\\ud83d\\ude00", "a": [1, null, true, {}]}')
  assert.equal(flaskJson(value), '{"a":[1,null,true,{}],"b":"\\u00e9\\u007f\\n\\"\\ud83d\\ude00"}')
  assert.equal(
    pythonJson(
      new Map([
        ['10', 1],
        ['9', 2],
      ]),
    ),
    '{"10": 1, "9": 2}',
  )
})

test('style A parses back to what went in', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = pythonJson(value)
      assert.match(text, /^[ -~]*$/)
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
    }),
    { numRuns: 200 },
  )
})

test('sizes round exact ties to even, as Python does', () => {
  const known: Array<[number, string]> = [
    [0, '0.00 KB'], [1152, '1.12 KB'], [1490, '1.46 KB'], [4096, '4.00 KB'], [1408, '1.38 KB'], [128, '0.12 KB'], [384, '0.38 KB'],
  ] // prettier-ignore
  for (const [bytes, text] of known) assert.equal(kilobytes(bytes), text)
  fc.assert(
    fc.property(fc.nat(1e12), (bytes) => {
      assert.ok(Math.abs(parseFloat(kilobytes(bytes)) - bytes / 1024) <= 0.0050001)
    }),
  )
})

test('metadata values are written again token by token', () => {
  const cases: Array<[string, string | undefined]> = [
    ['{"b":1,"a":[1.0,2e5,-0,1e16,1E-7,0.1,12345678901234567890]}', '{"b": 1, "a": [1.0, 200000.0, 0, 1e+16, 1e-07, 0.1, 12345678901234567890]}'],
    ['[ ]', '[]'],
    ['{"é\\u00e9":"a:b, {c}"}', '{"\\u00e9\\u00e9": "a:b, {c}"}'],
    ['42', undefined],
    ['"text"', undefined],
    ['{broken', undefined],
  ] // prettier-ignore
  for (const [text, expected] of cases) assert.equal(pythonRedump(text), expected)
})

test('file names lose what could hurt', () => {
  const cases: Array<[string, string]> = [
    ['my app (1) é.v1.2.tar.gz', 'my_app_1_e.v1.2.tar.gz'],
    ['../../etc/evil.tar.gz', 'etc_evil.tar.gz'],
    ['日本.tar.gz', 'tar.gz'],
    ['.tar.gz', 'tar.gz'],
    ['  a\t b__', 'a_b'],
    ['__proto__', 'proto'],
    ['..', ''],
  ]
  for (const [name, expected] of cases) assert.equal(secureFilename(name), expected)
})
