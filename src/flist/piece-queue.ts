/** Pieces of archives as they come by message. Whoever reads the next one is through with the one before. */
export class PieceQueue implements AsyncIterable<AsyncIterable<Uint8Array>> {
  readonly #giveBack: (buffer: ArrayBuffer) => void
  readonly #pieces: Array<Uint8Array<ArrayBuffer> | 'next layer'> = []
  #hasEnded = false
  #isThrough = false
  #wake = () => {}

  constructor(giveBack: (buffer: ArrayBuffer) => void) {
    this.#giveBack = giveBack
  }

  add(piece: Uint8Array<ArrayBuffer>): void {
    this.#pieces.push(piece)
    this.#wake()
  }

  /** What comes now is another archive. */
  nextLayer(): void {
    this.#pieces.push('next layer')
    this.#wake()
  }

  end(): void {
    this.#hasEnded = true
    this.#wake()
  }

  /** The archives, each to be read to its end before the next. */
  async *[Symbol.asyncIterator](): AsyncGenerator<AsyncIterable<Uint8Array>> {
    while (!this.#isThrough) yield this.#archive()
  }

  async *#archive(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift()
      if (piece === 'next layer') return
      if (piece !== undefined) {
        yield piece
        this.#giveBack(piece.buffer)
      } else if (this.#hasEnded) {
        this.#isThrough = true
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}
