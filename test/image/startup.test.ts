import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { parseImageConfig } from '../../src/image/config.ts'
import { startupMetadata, startupToml } from '../../src/image/startup.ts'
import { recordedData } from '../doubles/golden.ts'

const AMD64 = { os: 'linux', architecture: 'amd64' }
const recorded = recordedData('hub', 'startup-toml.txt')

function tomlOf(config: object): string {
  return startupToml(parseImageConfig(Buffer.from(JSON.stringify({ config })), AMD64))
}

describe('/.startup.toml', () => {
  it('is what the original wrote, to the byte', { skip: recorded.skip }, () => {
    const text = readFileSync(recorded.path, 'utf8')
    const files = new Map(
      text
        .split('### /.startup.toml of ')
        .slice(1)
        .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]),
    )
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    const images: Record<string, object> = {
      'busybox-latest.flist': { Cmd: ['sh'], Env: [path] },
      'acme-web-1.0.flist': {
        Entrypoint: ['/docker-entrypoint.sh'],
        Cmd: ['nginx', '-g', 'daemon off;'],
        WorkingDir: '/app',
        Env: ['PATH=/usr/bin', 'EMPTY=', 'EQ=a=b'],
      },
      'noentry-1.flist': {},
    }
    for (const [name, config] of Object.entries(images))
      assert.equal(tomlOf(config), files.get(name)?.trimEnd() + '\n')
  })

  it('has Entrypoint and Cmd one after the other', () => {
    assert.match(
      tomlOf({ Entrypoint: ['/init', '-v'], Cmd: ['run'] }),
      /name = "\/init"\nargs = \["-v", "run"\]\n/,
    )
    assert.match(tomlOf({ Entrypoint: ['/init'], Cmd: [] }), /name = "\/init"\nargs = \[\]\n/)
    assert.match(tomlOf({ Entrypoint: ['/init', 'x'] }), /name = "\/init"\nargs = \["x"\]\n/)
    const bare = /name = "\/init"\n#args = null {2}# To use: uncomment and replace null with value\ndir/
    for (const config of [{ Entrypoint: ['/init'], Cmd: null }, { Entrypoint: ['/init'] }])
      assert.match(tomlOf(config), bare)
    assert.match(tomlOf({ Entrypoint: null, Cmd: null, Env: null }), /name = "\/bin\/sh"\nargs = \[\]\n/)
  })

  it('keeps texts apart from its syntax', () => {
    const toml = tomlOf({
      Cmd: ['a"b\\c\nd\u0001\u007f', 'é'],
      Env: ['K=1', 'K="', 'a.b=\t', 'NONE', '=x', '\ud800=1'],
    })
    assert.match(toml, /name = "a\\"b\\\\c\\nd\\u0001\\u007f"\nargs = \["é"\]/)
    assert.match(toml, /\.env\]\nK = "\\""\n"a\.b" = "\\t"\nNONE = ""\n"\ufffd" = "1"\n$/)
  })

  it('is told in the metadata too', () => {
    const config = parseImageConfig(
      Buffer.from('{"config":{"Entrypoint":["/bin/a"],"Cmd":["b c"],"Env":["P=1","Q=\\"é"]}}'),
      AMD64,
    )
    assert.deepEqual(Object.fromEntries(startupMetadata(config)), {
      entrypoint: '["/bin/a", "b c"]',
      environ: '{"P": "1", "Q": "\\"é"}',
    })
  })

  it('is not told of an image that says nothing but the usual', () => {
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    const config = parseImageConfig(
      Buffer.from(JSON.stringify({ config: { Cmd: ['sh'], Env: [path] } })),
      AMD64,
    )
    assert.equal(startupMetadata(config).size, 0)
  })
})

describe('the configuration of an image', () => {
  it('is refused when it is none', () => {
    const bad = [
      '',
      '[]',
      'null',
      '{"config":{"Cmd":"sh"}}',
      '{"config":{"Env":[1]}}',
      '{"config":{"Cmd":["a\\u0000"]}}',
    ]
    for (const text of bad)
      assert.throws(() => parseImageConfig(Buffer.from(text), AMD64), { code: 'HUB_MALFORMED' }, text)
    const many = JSON.stringify({ config: { Env: new Array(5000).fill('A=1') } })
    assert.throws(() => parseImageConfig(Buffer.from(many), AMD64), { code: 'HUB_LIMIT' })
  })

  it('is refused when it is for another machine', () => {
    const arm = Buffer.from('{"os":"linux","architecture":"arm64"}')
    assert.throws(() => parseImageConfig(arm, AMD64), /not made for linux\/amd64, but for linux\/arm64/)
  })
})
