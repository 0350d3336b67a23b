/** The parts of the replay that could hide a difference: what is read from the recording, and what is made of it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { tarGzOf } from '../integration/archives.ts'
import type { Expected } from './comparison.ts'
import { depart, type Situation } from './departures.ts'
import { Model } from './model.ts'
import type { RecordedCase } from './recorded.ts'
import { changesBetween, EMPTY_STATE, parseTree } from './recorded-state.ts'
import { askedOf } from './route-of.ts'
import { verdictOf } from './verdict.ts'

function caseOf(method: string, path: string, headers: Readonly<Record<string, string>> = {}): RecordedCase {
  const request = { method, path, headers, body: null }
  return { id: 'planted', seq: 1, profile: 'noauth', description: '', request, response: null }
}

describe('a recorded tree', () => {
  const state = parseTree([
    'users/',
    'users/.keep [0]',
    'users/a/',
    'users/a/.tag-v1/',
    'users/a/plain-dir/',
    'users/a/x -> y.flist [12]',
    'users/a/file name.flist [12]',
    'users/a/link.flist -> file name.flist',
    'users/a/cross.flist -> ../b/z.flist',
    'users/a/stable -> ../b/.tag-v2',
    'users/a/.tag-v1/e.flist -> ../../b/z.flist',
    'outside.flist [3]',
  ])

  it('is read as names and what they are', () => {
    assert.deepEqual(state.things.get('a/file name.flist'), { kind: 'file', sizeBytes: 12 })
    assert.deepEqual(state.things.get('a/link.flist'), { kind: 'link', name: 'file name.flist' })
    assert.deepEqual(state.things.get('a/cross.flist'), { kind: 'xlink', repository: 'b', name: 'z.flist' })
    assert.deepEqual(state.things.get('a/stable'), { kind: 'taglink', repository: 'b', tag: 'v2' })
    const entry = { kind: 'tagentry', repository: 'b', name: 'z.flist' }
    assert.deepEqual(state.things.get('a/.tag-v1/e.flist'), entry)
    assert.deepEqual([...state.repositories], ['a'])
    assert.deepEqual([...state.strays], ['.keep', 'a/plain-dir'])
  })

  it('differs from another by what is new, other and gone', () => {
    const later = parseTree(['users/a/', 'users/a/file name.flist [13]', 'users/a/new.flist [1]'])
    const changes = changesBetween(state, later).map(({ key, before, after }) => [
      key,
      before?.kind,
      after?.kind,
    ])
    assert.deepEqual(
      changes.filter(([, before, after]) => before === undefined || after !== undefined),
      [
        ['a/file name.flist', 'file', 'file'],
        ['a/new.flist', undefined, 'file'],
      ],
    )
    assert.deepEqual(changesBetween(state, state), [])
    assert.equal(changesBetween(EMPTY_STATE, state).length, state.things.size)
  })
})

describe('a recorded request', () => {
  it('asks for one of the routes', () => {
    assert.deepEqual(askedOf(caseOf('GET', '/api/flist/a/b/light')), {
      kind: 'light',
      repository: 'a',
      name: 'b.flist',
    })
    assert.deepEqual(askedOf(caseOf('DELETE', '/api/flist/me/b')).kind, 'delete')
    assert.deepEqual(askedOf(caseOf('GET', '/a/b.flist.md5')).kind, 'md5')
    for (const path of ['/api/flist/me/a/link/b', '/api/flist/me/promote/a/b/c']) {
      assert.equal(askedOf(caseOf('GET', path)).kind, 'change', path)
    }
    assert.equal(askedOf(caseOf('GET', '/upload')).kind, 'other')
  })

  it('is refused for what it uploads, and only for that', async () => {
    const form = (filename: string, content: Uint8Array) =>
      Buffer.concat([
        Buffer.from(`--b\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\n\r\n`),
        content,
        Buffer.from('\r\n--b--\r\n'),
      ])
    const judge = (filename: string, content: Uint8Array, headers = {}) => {
      const one = caseOf('POST', '/api/flist/me/upload', headers)
      const world = { isStoreDown: false, model: new Model(), actor: 'Administrator' }
      const verdict = verdictOf(askedOf(one), one, form(filename, content), world)
      return verdict.kind === 'as recorded' ? undefined : verdict.departure
    }
    const good = await tarGzOf([{ name: 'a', content: 'x' }])
    assert.equal(judge('a.tar.gz', good), undefined)
    assert.equal(judge('a.tar.gz', good.subarray(0, good.length / 2)), 1)
    assert.equal(judge('a.tar.gz', Buffer.from('nothing of the kind')), 1)
    assert.equal(judge('a.tar.gz', await tarGzOf([])), 1)
    assert.equal(judge('a.tar.gz', await tarGzOf([{ name: 'folder', type: 'directory' }])), undefined)
    assert.equal(judge('a.tar.gz', await tarGzOf([{ name: '../a', content: 'x' }])), 24)
    assert.equal(judge('a.tar.gz', good, { 'X-Original-Name': '..' }), 7)
    assert.equal(judge('a.tgz', good), 23)
    assert.equal(judge('a.zip', good), undefined)
  })
})

describe('a departure', () => {
  const listed = '[{"name": "gone.flist", "size": "1.00 KB", "updated": 1, "type": "regular"}]\n'
  const recorded: Expected = { status: 200, headers: new Map(), text: listed, isError: false }

  it('takes a name out of a list only when a departure took it out of the hub', async () => {
    const model = new Model()
    const one = caseOf('GET', '/api/flist/a')
    const situation: Situation = {
      ...{ one, asked: askedOf(one), verdict: { kind: 'as recorded' }, model, actor: 'a' },
      bytesIn: () => Promise.resolve(0),
      kindsIn: () => Promise.resolve(new Map()),
      textIn: () => Promise.resolve(''),
    }
    model.recorded = parseTree(['users/a/', 'users/a/gone.flist [1024]'])
    model.put('a/gone.flist', { kind: 'file', sizeBytes: 1 })
    assert.deepEqual((await depart(recorded, situation)).numbers, [])

    model.remove('a/gone.flist')
    assert.equal((await depart(recorded, situation)).expected.text, listed, 'a loss is no departure')
    model.depart('a/gone.flist', 1)
    const departed = await depart(recorded, situation)
    assert.deepEqual(departed.numbers, [1])
    assert.equal(departed.expected.text, '[]\n')
  })
})
