#!/usr/bin/env node
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { CorruptError, InvalidInputError } from '../src/errors.ts'
import { startRendezvousServer } from '../src/net/rendezvous-server.ts'
import { createPrivateFile, readPrivateFile } from '../src/repo/private-file.ts'

const HELP = `A rendezvous node: members of a realm that know its address find each other there.

  node dist/bootstrap/main.js [--listen MULTIADDR,…] [--announce MULTIADDR,…] [--data DIR] [--json]

  --listen    where it listens; default /ip4/0.0.0.0/tcp/9902
  --announce  how others reach it, where that is something else
  --data      folder of its identity key, the one thing it keeps; default ~/.local/share/zhub-bootstrap
  --json      print the addresses as JSON

Nodes take its address, as it is printed, by ZHUB_BOOTSTRAP. It belongs to no realm and has no key of any.
`
const SEED = /^[0-9a-f]{64}\n$/
/** What closing connections may take before the process ends anyway. */
const STOP_MS = 3000

async function main(): Promise<void> {
  const options = readArguments()
  if (options.help) {
    process.stdout.write(HELP)
    return
  }
  const server = await startRendezvousServer({ ...options, seed: await identity(options.data) })
  const stop = () => {
    setTimeout(() => process.exit(0), STOP_MS).unref()
    void server.stop()
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  const addresses = server.addresses()
  process.stdout.write(options.json ? `${JSON.stringify({ addresses })}\n` : `${addresses.join('\n')}\n`)
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      listen: { type: 'string', default: '/ip4/0.0.0.0/tcp/9902' },
      announce: { type: 'string', default: '' },
      data: { type: 'string', default: join(homedir(), '.local', 'share', 'zhub-bootstrap') },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  return {
    ...values,
    listen: list(values.listen),
    announce: list(values.announce),
    data: resolve(values.data),
  }
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')
}

/** The seed of its key: made at the first start, the same ever after, so that its address stays good. */
async function identity(folder: string): Promise<Uint8Array> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, 'identity.key')
  if ((await readPrivateFile(path)) === undefined) {
    await createPrivateFile(path, Buffer.from(`${randomBytes(32).toString('hex')}\n`))
  }
  const text = Buffer.from((await readPrivateFile(path)) ?? []).toString()
  if (!SEED.test(text)) {
    throw new CorruptError(
      path,
      `${path} is no identity key: put a copy back, or remove it for a new identity`,
    )
  }
  return Buffer.from(text.trim(), 'hex')
}

main().catch((error: unknown) => {
  const isUsage = error instanceof TypeError || error instanceof InvalidInputError
  process.stderr.write(`zhub-bootstrap: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = isUsage ? 2 : 1
})
