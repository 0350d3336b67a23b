import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const recorded = join(root, '..', 'shared', 'golden')

/** Bytes that the project carries, below test/golden/. */
export function golden(...path: string[]): Buffer {
  return readFileSync(join(root, 'test', 'golden', ...path))
}

/** Where recorded data lies that a checkout may lack: pass `skip` to the test that reads it. */
export function recordedData(...path: string[]): { path: string; skip: string | false } {
  const file = join(recorded, ...path)
  return {
    path: file,
    skip: existsSync(file) ? false : `recorded data is not here: ../shared/golden/${path.join('/')}`,
  }
}

/** Runs of a fuzz test: ZHUB_FUZZ_RUNS, or the default that fits a quick test. */
export function fuzzRuns(usual: number): number {
  return Number(process.env['ZHUB_FUZZ_RUNS'] ?? usual)
}
