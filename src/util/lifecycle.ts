/** Parts in the order they opened; closing goes backwards and visits every one, whatever fails on the way. */
export class Parts {
  readonly #open: Array<{ name: string; close: () => Promise<void> | void }> = []
  #closing: Promise<void> | undefined

  /** Opens a part and remembers how to close it. A failure leaves the earlier parts open: the caller closes. */
  async open<T>(
    name: string,
    open: () => Promise<T> | T,
    close: (part: T) => Promise<void> | void,
  ): Promise<T> {
    const part = await open()
    this.#open.push({ name, close: () => close(part) })
    return part
  }

  /** @throws {AggregateError} of what could not be closed, after everything was tried. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll()
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    const failures: Error[] = []
    for (const part of this.#open.splice(0).reverse()) {
      try {
        await part.close()
      } catch (cause) {
        failures.push(new Error(`cannot close ${part.name}`, { cause }))
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map((one) => one.message).join('; '))
  }
}
