import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { LimitError } from '../../src/errors.ts'
import { parseChallenge } from '../../src/image/auth.ts'
import { ImageArchive } from '../../src/image/image-archive.ts'
import { KIB, MIB } from '../../src/util/units.ts'

describe('Work that a stranger makes is bounded', () => {
  it('zeros after the last member of an image archive count as its bytes', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'zhub-'))
    t.after(() => rm(directory, { recursive: true, force: true }))
    let sentBytes = 0
    async function* zeros(): AsyncGenerator<Uint8Array> {
      for (; sentBytes < 64 * MIB; sentBytes += 64 * KIB) yield new Uint8Array(64 * KIB)
    }
    const options = { directory, maxBytes: MIB, requireSpace: async () => {} }
    await assert.rejects(ImageArchive.read(zeros(), options), LimitError)
    assert.ok(sentBytes <= 2 * MIB)
  })

  it('what follows a word as long as a header may be is read all the same', () => {
    // Backtracking over the word took a second; now nothing that a person would see.
    const challenge = parseChallenge(`Bearer ${'a'.repeat(31 * KIB)},realm="https://auth.test/token"`)
    assert.equal(challenge?.parameters.get('realm'), 'https://auth.test/token')
    assert.equal(challenge.parameters.size, 1)
  })
})
