/** Pieces of an archive as they come by message. Whoever reads the next one is through with the one before. */
export class PieceQueue implements AsyncIterable<Uint8Array> {
  readonly #giveBack: (buffer: ArrayBuffer) => void
  readonly #pieces: Array<Uint8Array<ArrayBuffer>> = []
  #hasEnded = false
  #wake = () => {}

  constructor(giveBack: (buffer: ArrayBuffer) => void) {
    this.#giveBack = giveBack
  }

  add(piece: Uint8Array<ArrayBuffer>): void {
    this.#pieces.push(piece)
    this.#wake()
  }

  end(): void {
    this.#hasEnded = true
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift()
      if (piece !== undefined) {
        yield piece
        this.#giveBack(piece.buffer)
      } else if (this.#hasEnded) return
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}
