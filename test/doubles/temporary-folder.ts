import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

/** A fresh folder for the tests of a file, removed after them. */
export function temporaryFolder(): { readonly path: string; left(): string[] } {
  const path = mkdtempSync(join(tmpdir(), 'zhub-test-'))
  after(() => rmSync(path, { recursive: true, force: true }))
  return { path, left: () => readdirSync(path) }
}
