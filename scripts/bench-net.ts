/**
 * A `Channel` against a raw libp2p stream: messages of 300 KiB from this process to another over loopback, in turns within one run. Prints medians and
 * their ratio.
 *   node dist/scripts/bench-net.js [--rounds 5] [--mib 512]
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { multiaddr } from '@multiformats/multiaddr'
import { openLibp2pHost } from '../src/net/libp2p-host.ts'
import { createLibp2pNode } from '../src/net/libp2p-node.ts'
import { KIB, MIB, SECOND_MS } from '../src/util/units.ts'

const MESSAGE_BYTES = 300 * KIB
const RAW = '/bench/raw'
const FRAMED = '/bench/framed'
const OPTIONS = { maxMessageBytes: MIB, maxChannelsPerPeer: 8 }
const LOOPBACK = '/ip4/127.0.0.1/tcp/0'

type Kind = 'raw' | 'channel'

interface Ready {
  readonly raw: string
  readonly framed: string
}

const self = fileURLToPath(import.meta.url)

function hostOptions(seed: number) {
  return {
    seed: new Uint8Array(32).fill(seed),
    listen: [LOOPBACK],
    admits: () => true,
    maxNewPerSecond: 1000,
  }
}

/** Counts what comes and answers one byte at each `total` bytes. */
async function serve(total: number): Promise<void> {
  const { libp2p: raw } = await createLibp2pNode(hostOptions(1))
  await raw.handle(RAW, (stream) => {
    let got = 0
    stream.addEventListener('message', ({ data }) => {
      got += data.byteLength
      for (; got >= total; got -= total) stream.send(Uint8Array.of(1))
    })
  })
  await raw.start()
  const host = await openLibp2pHost(hostOptions(2))
  host.handle(FRAMED, OPTIONS, (channel) => {
    void (async () => {
      let got = 0
      for await (const message of channel.messages()) {
        got += message.length
        for (; got >= total; got -= total) await channel.send(Uint8Array.of(1))
      }
    })()
  })
  await host.start()
  const ready: Ready = { raw: String(raw.getMultiaddrs()[0]), framed: host.addresses()[0] ?? '' }
  process.send?.(ready)
  process.once('disconnect', () => process.exit(0))
}

type Run = () => Promise<void>

async function openRaw(address: string, count: number, message: Uint8Array): Promise<Run> {
  const { libp2p: raw } = await createLibp2pNode(hostOptions(3))
  await raw.start()
  const stream = await raw.dialProtocol(multiaddr(address), RAW)
  return async () => {
    const answered = once(stream, 'message')
    for (let sent = 0; sent < count; sent++) {
      if (stream.send(message)) continue
      await new Promise((resolve) => stream.addEventListener('drain', resolve, { once: true }))
    }
    await answered
  }
}

async function openChannel(address: string, count: number, message: Uint8Array): Promise<Run> {
  const host = await openLibp2pHost(hostOptions(4))
  await host.start()
  const channel = await host.open(await host.connect(address), FRAMED, OPTIONS)
  const answers = channel.messages()[Symbol.asyncIterator]()
  const header = message.subarray(0, 16)
  const payload = message.subarray(16)
  return async () => {
    for (let sent = 0; sent < count; sent++) await channel.send([header, payload])
    await answers.next()
  }
}

async function measure(run: Run, bytes: number): Promise<number> {
  const beganMs = performance.now()
  await run()
  return bytes / 1e6 / ((performance.now() - beganMs) / SECOND_MS)
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0
}

async function main(child: ChildProcess, rounds: number, count: number): Promise<void> {
  const [ready] = (await once(child, 'message')) as [Ready]
  const message = Buffer.alloc(MESSAGE_BYTES, 'zhub')
  const bytes = count * MESSAGE_BYTES
  const runs: Record<Kind, Run> = {
    raw: await openRaw(ready.raw, count, message),
    channel: await openChannel(ready.framed, count, message),
  }
  const found: Record<Kind, number[]> = { raw: [], channel: [] }
  for (let round = 0; round <= rounds; round++) {
    for (const kind of ['raw', 'channel'] as const) {
      const rate = await measure(runs[kind], bytes)
      if (round > 0) found[kind].push(rate)
    }
  }
  for (const kind of ['raw', 'channel'] as const) {
    const all = found[kind].map((rate) => rate.toFixed(0)).join(' ')
    console.log(`${kind.padEnd(8)} ${median(found[kind]).toFixed(0).padStart(5)} MB/s   (${all})`)
  }
  console.log(`channel / raw: ${(median(found.channel) / median(found.raw)).toFixed(2)}`)
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    mib: { type: 'string', default: '512' },
    serve: { type: 'boolean', default: false },
  },
})
const count = Math.ceil((Number(values.mib) * MIB) / MESSAGE_BYTES)
if (values.serve) await serve(count * MESSAGE_BYTES)
else {
  const child = fork(self, ['--serve', '--mib', values.mib])
  try {
    await main(child, Number(values.rounds), count)
  } finally {
    child.kill()
  }
  process.exit(0)
}
