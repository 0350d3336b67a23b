import { MIB } from '../util/units.ts'
import type { Reply } from './reply.ts'

/** Writes of one connection at once, and the bytes of their values. */
const MAX_WRITES = 16
const MAX_WRITE_BYTES = 8 * MIB

/**
 * The answers of one connection that must be waited for, handed over in the order of their requests. Only writes run
 * beside each other, so that a pipelining uploader shares the disk's syncs; anything else is alone.
 */
export class AnswersUnderWay {
  #count = 0
  #bytes = 0
  #isWriting = false
  #tail: Promise<void> = Promise.resolve()

  get count(): number {
    return this.#count
  }

  /** Whether the next request cannot even be looked at: only a write could start, and none is running. */
  get isExclusive(): boolean {
    return this.#count > 0 && !this.#isWriting
  }

  mayStart(isWrite: boolean): boolean {
    if (this.#count === 0) return true
    return isWrite && this.#isWriting && this.#count < MAX_WRITES && this.#bytes < MAX_WRITE_BYTES
  }

  /** Calls `done` after those of all earlier answers. `answer` never rejects. */
  add(answer: Promise<Reply>, isWrite: boolean, bytes: number, done: (reply: Reply) => void): void {
    if (this.#count === 0) this.#isWriting = isWrite
    this.#count++
    this.#bytes += bytes
    this.#tail = this.#tail.then(async () => {
      const reply = await answer
      this.#count--
      this.#bytes -= bytes
      done(reply)
    })
  }

  /** Resolves when every write has been answered; a scan or a wrong password can be left. */
  async writesAnswered(): Promise<void> {
    if (this.#isWriting) await this.#tail
  }
}
