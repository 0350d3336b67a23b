import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { importsOf, violations } from './layers.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Compiled to WebAssembly by another compiler; imports nothing. */
const NOT_TYPESCRIPT = /^format\/wasm\//

describe('the layers', () => {
  it('are kept by every import of src/', async () => {
    const names = await readdir(join(ROOT, 'src'), { recursive: true })
    const files = names.filter((name) => name.endsWith('.ts') && !NOT_TYPESCRIPT.test(name))
    assert.ok(files.length > 50, 'the files were not found')
    const found: string[] = []
    for (const file of files) found.push(...violations(file, await readFile(join(ROOT, 'src', file), 'utf8')))
    assert.deepEqual(found, [])
  })

  it('let the rendezvous program have no part in stores, realms and their keys', async () => {
    const files = (await readdir(join(ROOT, 'bootstrap'))).filter((name) => name.endsWith('.ts'))
    assert.ok(files.length > 0)
    const allowed =
      /^(?:node:.*|\.\.\/src\/(?:errors|net\/rendezvous-server|repo\/private-file|util\/[\w-]+)\.ts)$/
    for (const file of files) {
      const imports = importsOf(await readFile(join(ROOT, 'bootstrap', file), 'utf8'))
      assert.deepEqual(
        imports.filter((name) => !allowed.test(name)),
        [],
      )
    }
  })

  it('have a home for every library of package.json', async () => {
    const text = await readFile(join(ROOT, 'package.json'), 'utf8')
    const { dependencies } = JSON.parse(text) as { dependencies: Record<string, string> }
    for (const name of Object.keys(dependencies)) {
      const [found = ''] = violations('nowhere.ts', `import '${name}'`)
      assert.match(found, /whose home is src\/\w+\/$/, name)
    }
  })

  it('are seen to be broken by planted imports', () => {
    const planted: Array<[file: string, source: string, message: string]> = [
      ['util/a.ts', `import { x } from '../format/b.ts'`, 'src/util/a.ts imports src/format/b.ts'],
      ['flist/a.ts', `import type { X } from '../repo/b.ts'`, 'src/flist/a.ts imports src/repo/b.ts'],
      ['http/a.ts', `export * from '../cli/b.ts'`, 'src/http/a.ts imports src/cli/b.ts'],
      ['cli/a.ts', `const x = await import('../node.ts')`, 'src/cli/a.ts imports src/node.ts'],
      [
        'http/a.ts',
        `import '../store/level.ts'`,
        'src/http/a.ts imports src/store/level.ts, which is no port',
      ],
      [
        'http/a.ts',
        `import 'classic-level'`,
        'src/http/a.ts imports classic-level, whose home is src/store/',
      ],
      [
        'node.ts',
        `import { x } from 'hash-wasm/blake2.js'`,
        'src/node.ts imports hash-wasm, whose home is src/format/',
      ],
      ['http/a.ts', `import 'left-pad'`, 'src/http/a.ts imports left-pad, which has no home'],
      ['newcomer/a.ts', '', 'src/newcomer/ is in no layer'],
      ['constructor/a.ts', '', 'src/constructor/ is in no layer'],
    ]
    for (const [file, source, message] of planted) assert.deepEqual(violations(file, source), [message])
  })

  it('allow what points down, the errors, the ports and what Node brings', () => {
    const source = [
      `import { readFile } from 'node:fs/promises'`,
      `import { HubError } from '../errors.ts'`,
      `import type { ChunkStore } from '../store/chunk-store.ts'`,
      `import { toHex } from '../util/bytes.ts'`,
      `import { near } from './near.ts'`,
      `import fastify from 'fastify'`,
    ].join('\n')
    assert.deepEqual(violations('http/a.ts', source), [])
    assert.deepEqual(violations('node.ts', `import './http/server.ts'; import './store/level.ts'`), [])
  })
})
