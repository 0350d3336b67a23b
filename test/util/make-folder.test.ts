import assert from 'node:assert/strict'
import { chmod, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { UnavailableError } from '../../src/errors.ts'
import { makeFolder } from '../../src/util/make-folder.ts'
import { temporaryFolder } from '../repo/a-repository.ts'

describe('making a folder', () => {
  it('makes those above it, private to this user, and leaves one that is there as it is', async (context) => {
    const root = await temporaryFolder(context)
    const path = join(root, 'a', 'b', 'c')
    await makeFolder(path)
    for (const made of [path, join(root, 'a')]) assert.equal((await stat(made)).mode & 0o777, 0o700)
    await chmod(path, 0o755)
    await makeFolder(path)
    assert.equal((await stat(path)).mode & 0o777, 0o755)
  })

  it('says where a file stands in the way', async (context) => {
    const file = join(await temporaryFolder(context), 'file')
    await writeFile(file, '')
    for (const path of [file, join(file, 'below', 'it')]) {
      await assert.rejects(makeFolder(path), (error) => {
        assert.ok(error instanceof UnavailableError)
        return error.message === `cannot make the folder ${path}: a file is there`
      })
    }
  })

  const noProc = process.platform === 'linux' ? false : 'there is no /proc here'
  it('ends where the system has no room for folders', { skip: noProc }, async () => {
    const refused =
      /^cannot make the folder \/proc\/zhub(\/x)?: (the system has no folders there|not allowed)$/
    for (const path of ['/proc/zhub', '/proc/zhub/x']) {
      await assert.rejects(makeFolder(path), { message: refused })
    }
  })
})
