import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseWords, type OptionRow, type SettingRow } from '../../src/cli/arguments.ts'
import { UsageError } from '../../src/cli/command.ts'

const ROWS: readonly OptionRow[] = [
  { name: 'json', help: '' },
  { name: 'ttl', value: 'DURATION', help: '' },
  { name: 'keep-versions', value: 'COUNT', help: '' },
]
const SETTINGS: readonly SettingRow[] = [
  { key: 'data', kind: 'path', help: '' },
  { key: 'readonly', kind: 'flag', help: '' },
  { key: 'keep-versions', kind: 'count', help: '' },
]
const parse = (...words: string[]) => parseWords(words, ROWS, SETTINGS)
const refused = (message: RegExp) => (error: unknown) =>
  error instanceof UsageError && message.test(error.message)

describe('a command line', () => {
  it('is arguments and options in any order', () => {
    const { args, options, settings } = parse('a', '--json', '-', '--data', '/x', 'b')
    assert.deepEqual(args, ['a', '-', 'b'])
    assert.equal(options.flag('json'), true)
    assert.equal(options.flag('ttl'), false)
    assert.deepEqual(settings, { data: '/x' })
  })

  it('takes what follows -- as it is', () => {
    assert.deepEqual(parse('--', '--json', '--readonly').args, ['--json', '--readonly'])
  })

  it('reads durations in seconds, and counts', () => {
    assert.equal(parse('--ttl', '30d').options.seconds('ttl'), 30 * 86_400)
    assert.equal(parse('--ttl=0').options.seconds('ttl'), 0)
    assert.equal(parse().options.seconds('ttl'), undefined)
    assert.equal(parse('--keep-versions', '7').options.count('keep-versions'), 7)
    assert.throws(() => parse('--ttl', 'long').options.seconds('ttl'), refused(/--ttl.*duration.*"long"/))
    assert.throws(
      () => parse('--keep-versions', '-1').options.count('keep-versions'),
      refused(/whole number/),
    )
  })

  it('lets an option of the command win over the setting of that name', () => {
    assert.deepEqual(parse('--keep-versions', '7').settings, {})
  })

  it('takes a flag setting alone, or with its word', () => {
    assert.equal(parse('--readonly').settings['readonly'], 'on')
    assert.equal(parse('--readonly', 'off').settings['readonly'], 'off')
    assert.deepEqual(parse('--readonly', 'name').args, ['name'])
  })

  it('refuses what it does not know, and says what is wrong', () => {
    assert.throws(() => parse('--jsn'), refused(/unknown option --jsn/))
    assert.throws(() => parse('-x'), refused(/unknown option -x/))
    assert.throws(() => parse('--data'), refused(/--data needs a value/))
    assert.throws(() => parse('--data', '--json'), refused(/--data needs a value.*--data=--json/))
    assert.throws(() => parse('--json=yes'), refused(/takes no value/))
    assert.throws(() => parse('--data', 'a', '--data', 'b'), refused(/twice/))
    assert.throws(() => parse('--__proto__', 'a'), refused(/unknown option/))
  })
})
