/** A host that finds others by multicast and prints whom it found, until its input ends: `mdns-node.js SEED REALM`. */
import { openLibp2pHost } from '../../src/net/libp2p-host.ts'
import { mdnsPart } from '../../src/net/mdns.ts'
import { toHex } from '../../src/util/bytes.ts'

const [seed = 1, realm = 1] = process.argv.slice(2).map(Number)
const host = await openLibp2pHost({
  seed: new Uint8Array(32).fill(seed),
  listen: ['/ip4/0.0.0.0/tcp/0'],
  admits: () => true,
  parts: [
    mdnsPart(new Uint8Array(32).fill(realm), ({ peer, addresses }) => {
      process.stdout.write(`${toHex(peer)} ${addresses.join(' ')}\n`)
    }),
  ],
})
await host.start()
process.stdin.resume()
process.stdin.once('end', () => void host.stop())
