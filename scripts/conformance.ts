/** Replays the recorded cases of the original hub and prints what matched, departed and differs. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { replay } from '../test/conformance/replay.ts'
import { countsOf, reportText } from '../test/conformance/report.ts'

const folder = resolve(process.argv[2] ?? '../shared/golden/hub')
if (!existsSync(folder)) {
  process.stderr.write(`conformance: the recorded cases are not here: ${folder}\n`)
  process.exit(2)
}
const results = await replay(folder)
process.stdout.write(reportText(results))
process.exit(countsOf(results).outcomes.differing === 0 ? 0 : 1)
