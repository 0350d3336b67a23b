/** Archives of real trees for benchmarks: packed once into the temporary folder, and kept there for the next run. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Plain bytes of each; ../shared/reports/ingest.md had 709 and 712 MB. */
const PLAIN_BYTES = 710_000_000

/** A `.tar.gz` of the first part of a folder, in the order of names; `undefined` when there is no such folder. */
export function packedFolder(name: string, folder: string): string | undefined {
  if (!existsSync(folder)) return undefined
  const archive = join(tmpdir(), `zhub-bench-${name}.tar.gz`)
  if (existsSync(archive)) return archive
  console.error(`packing ${folder} …`)
  const list = `cd ${folder} && find . -xdev -printf '%s\\t%p\\n' | LC_ALL=C sort -k2`
  const lines = execFileSync('sh', ['-c', list], { maxBuffer: 1 << 30 })
    .toString('latin1')
    .split('\n')
  const paths: string[] = []
  let bytes = 0
  for (const line of lines) {
    const [size = '', path = ''] = line.split('\t')
    if (path === '' || bytes > PLAIN_BYTES) break
    bytes += Number(size)
    paths.push(path)
  }
  const input = Buffer.from(paths.join('\n'), 'latin1')
  const options = ['-C', folder, '--no-recursion', '--verbatim-files-from', '-T', '-', '-czf', archive]
  execFileSync('tar', options, { input, stdio: ['pipe', 'ignore', 'ignore'] })
  return archive
}
