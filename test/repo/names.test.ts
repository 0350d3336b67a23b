import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { InvalidInputError } from '../../src/errors.ts'
import { isFlistName, isName, isRepositoryName, isTaglinkName } from '../../src/format/name-rule.ts'
import {
  parseFlistName,
  parseRepositoryName,
  parseTaglinkName,
  parseTagName,
  withSuffix,
} from '../../src/repo/names.ts'

const RECORDED = '../shared/golden/hub'

describe('the rule of names', () => {
  const good = [
    'a',
    'bootstrap:latest.flist',
    'custom name+x.flist',
    'my_app_1_e.v1.2.flist',
    'a..b',
    'é',
    '日本.fl',
    '__proto__',
    '~',
    'x'.repeat(255),
    'é'.repeat(127),
  ]
  for (const name of good) it(`takes ${JSON.stringify(name.slice(0, 30))}`, () => assert.ok(isName(name)))

  const bad: Record<string, string> = {
    nothing: '',
    'a dot': '.',
    'two dots': '..',
    'a hidden file': '.README',
    'only a suffix': '.flist',
    'a trailing dot': 'a.',
    'a trailing space': 'a ',
    'a slash': 'a/b',
    'a backslash': 'a\\b',
    NUL: 'a\0b',
    'a newline': 'a\nb',
    delete: 'a\x7fb',
    'a C1 control': 'a\x85b',
    'a right-to-left override': 'a\u202eb',
    'an isolate': 'a\u2066b',
    'a right-to-left mark': 'a\u200fb',
    'an Arabic letter mark': 'a\u061cb',
    'decomposed letters': 'e\u0301',
    'a sign with a canonical twin': '\u212b',
    'half a surrogate pair': 'a\ud800',
    '256 bytes': 'x'.repeat(256),
    '256 bytes in 128 letters': 'é'.repeat(128),
    'a megabyte': 'x'.repeat(1 << 20),
  }
  for (const [what, name] of Object.entries(bad)) {
    it(`refuses ${what}, as \`invalid name\``, () => {
      for (const parse of [parseRepositoryName, parseFlistName, parseTagName, parseTaglinkName]) {
        assert.throws(() => parse(name), { constructor: InvalidInputError, message: 'invalid name' })
      }
    })
  }

  it('keeps names of routes from being repositories', () => {
    const reserved = [
      ...[
        'me',
        'api',
        'static',
        'tags',
        'listen',
        'upload',
        'upload-flist',
        'merge',
        'docker-convert',
        'search',
      ],
      ...['login', 'login-method', 'loginx', 'logout', 'token', 'callback_threebot', 'callback_', 'readonly'],
      ...['healthz', 'metrics', 'zhub'],
    ]
    for (const name of reserved) assert.throws(() => parseRepositoryName(name), InvalidInputError)
    for (const name of ['Administrator', 'me2', 'tokens', 'API', 'alice.3bot', 'with space', 'callback']) {
      assert.equal(parseRepositoryName(name), name)
    }
    assert.equal(parseTagName('api'), 'api')
  })

  it('tells flists from links to tags by the suffix', () => {
    assert.ok(isFlistName('a.flist') && isFlistName('a.fl') && !isFlistName('a') && !isFlistName('a.FLIST'))
    assert.ok(
      isTaglinkName('a') &&
        isTaglinkName('a.flist.txt') &&
        !isTaglinkName('a.flist') &&
        !isTaglinkName('a.fl'),
    )
    assert.equal(withSuffix('a'), 'a.flist')
    assert.equal(withSuffix('a.flist'), 'a.flist')
    assert.equal(withSuffix('a.fl'), 'a.fl')
    assert.equal(withSuffix('a.tar.gz'), 'a.tar.gz.flist')
  })

  it('gives every name it takes back unchanged, fit for a key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        if (!isName(text)) return
        assert.equal(Buffer.from(text).toString('utf8'), text)
        assert.equal(text.normalize('NFC'), text)
        assert.ok(Buffer.byteLength(text) <= 255 && !/[/\\\0]/.test(text))
      }),
    )
  })

  it(
    'takes every recorded name but the hidden ones',
    { skip: !existsSync(RECORDED) && `${RECORDED} is not here` },
    async () => {
      const names = await recordedNames()
      assert.ok(names.length > 50)
      const refused = names.filter(([repository, name]) => !isRepositoryName(repository) || !isName(name))
      const hidden = new Set(refused.map(([, name]) => name))
      assert.deepEqual([...hidden].sort(), ['...flist', '.flist', '.keep'])
    },
  )
})

/** Repository and entry of everything that the recorded trees show, entries of tags too. */
async function recordedNames(): Promise<Array<[string, string]>> {
  const names: Array<[string, string]> = []
  for (const file of await readdir(RECORDED)) {
    if (!/^\d+-.*\.json$/.test(file)) continue
    const { public_tree_after: tree } = JSON.parse(await readFile(`${RECORDED}/${file}`, 'utf8')) as {
      public_tree_after?: string[]
    }
    for (const line of tree ?? []) {
      const [path = ''] = line.split(/ -> | \[/)
      const [users, repository = '', ...rest] = path.split('/')
      const name = rest.at(-1)
      if (users === 'users' && name !== undefined && name !== '') names.push([repository, name])
    }
  }
  return names
}
