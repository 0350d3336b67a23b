/**
 * What a command answers. A chunk is not encoded but carried, so its bytes go to the socket as they came from the
 * store; an array is pulled one reply at a time, so a large MGET is never in memory as a whole.
 */
export class Bulk {
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

/** Encoded bytes, or a chunk to be framed. */
export type Reply = Uint8Array | Bulk

/** Replies in the order in which they are sent; the first announces the others. */
export type Replies = Iterator<Reply | Promise<Reply>>

export type Answer = Reply | Promise<Reply> | Replies
