/** Devices and fifos, which Node has no call for: mknod(1) makes them under a plain name, then they are moved. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const LETTER_OF = { char: 'c', block: 'b', fifo: 'p' } as const

export class DeviceMaker {
  readonly #root: string
  #scratch: string | undefined

  /** `root` is a folder of the filesystem that the files go to. */
  constructor(root: string) {
    this.#root = root
  }

  /** False where this machine does not let us, or has no mknod. */
  make(path: Buffer, kind: keyof typeof LETTER_OF, major: number, minor: number): boolean {
    this.#scratch ??= mkdtempSync(join(this.#root, '.zhub-'))
    const name = join(this.#scratch, 'node')
    const numbers = kind === 'fifo' ? [] : [String(major), String(minor)]
    const { status } = spawnSync('mknod', ['-m', '600', name, LETTER_OF[kind], ...numbers], {
      stdio: 'ignore',
    })
    if (status !== 0) return false
    renameSync(name, path)
    return true
  }

  close(): void {
    if (this.#scratch !== undefined) rmSync(this.#scratch, { recursive: true, force: true })
    this.#scratch = undefined
  }
}
