import type { TestContext } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2pNode } from '../../src/net/libp2p-node.ts'
import type { PeerHost } from '../../src/net/peer-host.ts'
import { signingKey } from '../../src/format/ed25519.ts'

/** A member that writes bytes on streams as it likes: frames that are none, in pieces of any size, on any number of streams. */
export class RawPeer {
  readonly #open: (protocol: string) => Promise<Stream>
  readonly close: () => Promise<void>

  private constructor(open: (protocol: string) => Promise<Stream>, close: () => Promise<void>) {
    this.#open = open
    this.close = close
  }

  static keyOf(seed: number): Uint8Array {
    return signingKey(new Uint8Array(32).fill(seed)).publicKey
  }

  static async connect(context: TestContext, seed: number, victim: PeerHost): Promise<RawPeer> {
    const options = { seed: new Uint8Array(32).fill(seed), listen: [], admits: () => true }
    const { libp2p } = await createLibp2pNode(options)
    await libp2p.start()
    context.after(() => libp2p.stop())
    const connection = await libp2p.dial(multiaddr(victim.addresses()[0] ?? ''))
    const open = (protocol: string) => connection.newStream(protocol, { maxOutboundStreams: 100_000 })
    return new RawPeer(open, async () => void (await libp2p.stop()))
  }

  open(protocol: string): Promise<Stream> {
    return this.#open(protocol)
  }
}

/** Writes pieces one by one, each as soon as there is room; false when the other side broke the stream. */
export async function write(stream: Stream, pieces: Iterable<Uint8Array>): Promise<boolean> {
  try {
    for (const piece of pieces) {
      if (stream.send(piece)) continue
      await stream.onDrain({ signal: AbortSignal.timeout(10_000) })
    }
    return true
  } catch {
    return false
  }
}

/** Until the other side breaks or closes it. */
export function ended(stream: Stream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.status !== 'open') resolve()
    stream.addEventListener('close', () => resolve())
  })
}
