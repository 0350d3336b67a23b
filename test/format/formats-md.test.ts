import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { createChunkCodec } from '../../src/format/chunk-codec.ts'
import { BLOCK_PAGES, encodeAcl, encodeDirectory, ROOT_KEY } from '../../src/format/flist-v1.ts'
import { fromUtf8, toHex } from '../../src/util/bytes.ts'

const text = readFileSync(new URL('../../../src/format/FORMATS.md', import.meta.url), 'utf8')

/** The bytes of a fenced example: eight a line, then its note. */
function example(name: string): string {
  const fence = new RegExp(`^\`\`\`hex ${name}\n([^\`]*)`, 'm').exec(text)?.[1] ?? ''
  const lines = fence.trimEnd().split('\n')
  return lines.map((line) => line.slice(0, 23).replaceAll(' ', '')).join('')
}

it('FORMATS.md shows the bytes that are written', async () => {
  const { id, key, stored } = (await createChunkCodec()).encode(fromUtf8('A'))
  assert.equal(toHex(stored), example('chunk'))

  const times = { modifiedS: 1_600_000_000, changedS: 1_600_000_000 }
  const content = { kind: 'file', blockPages: BLOCK_PAGES, blocks: [{ id, key }] } as const
  const motd = { name: fromUtf8('motd'), sizeBytes: 1, aclKey: '5f64cf1389d15471', ...times, content }
  const etc = {
    name: fromUtf8('etc'),
    location: fromUtf8('etc'),
    sizeBytes: 4096,
    aclKey: 'd7683de000c13689',
  }
  const directory = encodeDirectory({ ...etc, ...times, parentKey: ROOT_KEY, inodes: [motd] })
  assert.equal(toHex(directory), example('directory'))

  const root = fromUtf8('root')
  const acl = encodeAcl({ userName: root, groupName: root, mode: 0o755, typeBits: 0, uid: 0, gid: 0 })
  assert.equal(toHex(acl), example('acl'))
})
