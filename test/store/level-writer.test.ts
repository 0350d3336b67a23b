import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openLevel } from '../../src/store/database.ts'
import { LevelRowStore } from '../../src/store/level-row-store.ts'
import { fromUtf8 } from '../../src/util/bytes.ts'
import { temporaryFolder } from './open-store.ts'

const WRITER = fileURLToPath(new URL('limited-writer.js', import.meta.url))

describe('LevelWriter', () => {
  it('loses nothing that it acknowledged after a write that the disk cut off', async (t) => {
    const folder = join(await temporaryFolder(t), 'rows')
    const limited = 'ulimit -f 2048; exec "$0" "$@"' // 1 or 2 MiB a file: 512 or 1024 bytes a block, by shell
    const { stdout } = spawnSync('sh', ['-c', limited, process.execPath, WRITER, folder, '60'], {
      encoding: 'utf8',
    })
    const lines = stdout.trim().split('\n')
    const acknowledged = lines.filter((line) => line.startsWith('+')).map((line) => line.slice(1))
    const refused = lines.indexOf(
      lines.find((line) => line.startsWith('-')) ?? assert.fail('no write was cut off'),
    )
    assert.equal(lines.length, 60)
    assert.ok(
      lines.slice(refused).some((line) => line.startsWith('+')),
      'it never wrote again',
    )

    const level = await openLevel(folder)
    const rows = new LevelRowStore(level)
    const lost = acknowledged.filter((number) => rows.get('a', fromUtf8(number)) === undefined)
    await level.close()
    assert.deepEqual(lost, [])
  })
})
