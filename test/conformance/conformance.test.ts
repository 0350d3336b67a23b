import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { recordedData } from '../doubles/golden.ts'
import { differencesOf, pythonJson, steady, withoutDebug, type Expected } from './comparison.ts'
import { replay } from './replay.ts'
import { countsOf, reportText } from './report.ts'

const recorded = recordedData('hub')

describe('the recorded cases of the original hub', { skip: recorded.skip }, () => {
  it('replay as recorded, or as departed from', async (context) => {
    const results = await replay(recorded.path)
    const text = reportText(results)
    for (const line of text.trimEnd().split('\n')) context.diagnostic(line)
    const { outcomes } = countsOf(results)
    assert.ok(outcomes.matched > 200, 'too little was compared')
    assert.equal(outcomes.differing, 0, text)
  })
})

describe('the comparison', () => {
  const headers = new Map([['content-type', 'application/json']])
  const expected: Expected = { status: 200, headers, text: '{"a": 1, "updated": 5}\n', isError: false }
  const actual = (status: number, text: string, type = 'application/json') => ({
    status,
    headers: new Map([['content-type', type]]),
    body: Buffer.from(text),
  })

  it('overlooks only what differs with every run', () => {
    assert.deepEqual(differencesOf(expected, actual(200, '{"a": 1, "updated": 99}\n')), [])
    assert.equal(differencesOf(expected, actual(200, '{"a": 1, "updated": 99}')).length, 1)
    assert.equal(differencesOf(expected, actual(200, '{"a":1,"updated":99}\n')).length, 1)
    assert.equal(differencesOf(expected, actual(404, '{"a": 1, "updated": 5}\n', 'text/html')).length, 2)
    assert.notEqual(steady('"size": "0 KB"'), steady('"size": "1.46 KB"'))
    assert.notEqual(steady('"size": "4.00 KB"'), steady('"size": "4.01 KB"'))
    assert.equal(
      steady('{"name": "x", "size": 12, "updated": 3}'),
      steady('{"name": "x", "size": 13, "updated": 4}'),
    )
  })

  it('knows an error by its envelope', () => {
    const error: Expected = { ...expected, status: 400, text: undefined, isError: true }
    assert.deepEqual(differencesOf(error, actual(400, '{"status": "error", "message": "why"}\n')), [])
    assert.equal(differencesOf(error, actual(400, '{"status":"error","message":"why"}\n')).length, 1)
  })

  it('takes off what the debug mode of the original adds, and nothing else', () => {
    assert.equal(
      withoutDebug('{\n  "message": "no",\n  "status": "error"\n}\n'),
      '{"message":"no","status":"error"}\n',
    )
    assert.equal(withoutDebug('{"a": {"b": 1}, "timing": {}}\n'), '{"a": {"b": 1}}\n')
    assert.equal(withoutDebug('{"a": 1}\n'), '{"a": 1}\n')
  })

  it('writes JSON as Python does', () => {
    assert.equal(pythonJson({ a: [1, 'é\n'], b: null }), '{"a": [1, "\\u00e9\\n"], "b": null}')
  })
})
