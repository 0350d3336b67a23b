/**
 * A program whose files cannot grow past what `ulimit -f` says, which cuts LevelDB's log in the middle of a record as a
 * full disk does. Writes rows, and says of each whether it was acknowledged: `+key` or `-key`.
 */
import { writeSync } from 'node:fs'
import { openLevel } from '../../src/store/database.ts'
import { LevelRowStore } from '../../src/store/level-row-store.ts'
import { fromUtf8 } from '../../src/util/bytes.ts'

const [folder = '', count = '0'] = process.argv.slice(2)
const level = await openLevel(folder)
const rows = new LevelRowStore(level)
for (let number = 0; number < Number(count); number++) {
  const change = {
    type: 'put',
    space: 'a',
    key: fromUtf8(String(number)),
    value: Buffer.alloc(100_000),
  } as const
  const sign = await rows.write([change]).then(
    () => '+',
    () => '-',
  )
  writeSync(1, `${sign}${number}\n`)
}
process.kill(process.pid, 'SIGKILL') // no orderly end: the next start has only what is on the disk
