/** A 3Bot login server of the tests' own, over HTTP, and users with the app in their hands. */
import { once } from 'node:events'
import { createPrivateKey, createPublicKey, createHash, diffieHellman, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { hsalsa, xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { signingKey } from '../../src/format/ed25519.ts'

export interface LoginServerDouble {
  readonly url: string
  /** Base64 of a key, by user. */
  readonly users: Map<string, string>
  /** Paths that were asked for. */
  readonly asked: string[]
  /** Answers in place of the server's own, while it is set. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  stop(): Promise<void>
}

export async function startLoginServer(t: TestContext): Promise<LoginServerDouble> {
  const users = new Map<string, string>()
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    if (double.answer !== undefined) return double.answer(request, response)
    const name = decodeURIComponent(/^\/api\/users\/([^/]+)$/.exec(request.url ?? '')?.[1] ?? '')
    const publicKey = users.get(name)
    response.writeHead(publicKey === undefined ? 404 : 200, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify(publicKey === undefined ? {} : { doublename: name, publicKey }))
  })
  const stop = async () => {
    server.closeAllConnections()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  }
  t.after(stop)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const double: LoginServerDouble = { url, users, asked, answer: undefined, stop }
  return double
}

export interface AttemptParts {
  /** Of the signed message; more of them, or others in their place. */
  readonly claims?: Readonly<Record<string, unknown>>
  readonly payload?: unknown
}

/** Somebody with the app. */
export class ThreeBotUser {
  readonly name: string
  readonly #seed: Uint8Array

  constructor(name: string, seed: Uint8Array = randomBytes(32)) {
    this.name = name
    this.#seed = seed
  }

  /** As the login server tells it. */
  get publicKey(): string {
    return Buffer.from(signingKey(this.#seed).publicKey).toString('base64')
  }

  /** The `signedAttempt` that the app answers the URL of a login with. */
  attempt(loginUrl: string, { claims = {}, payload = {} }: AttemptParts = {}): string {
    const query = new URL(loginUrl).searchParams
    const hubKey = Buffer.from(query.get('publickey') ?? '', 'base64')
    const message = Buffer.from(
      JSON.stringify({
        signedState: query.get('state'),
        data: this.#box(hubKey, Buffer.from(JSON.stringify(payload))),
        doubleName: this.name,
        ...claims,
      }),
    )
    return this.sign(message)
  }

  /** Any message, signed. */
  sign(message: Uint8Array): string {
    const signed = Buffer.concat([signingKey(this.#seed).sign(message), message])
    return JSON.stringify({ signedAttempt: signed.toString('base64'), doubleName: this.name })
  }

  /** Libsodium's way: the private key's other form is the clamped half of the seed's digest. */
  #box(hubKey: Uint8Array, plaintext: Uint8Array): { nonce: string; ciphertext: string } {
    const scalar = createHash('sha512').update(this.#seed).digest().subarray(0, 32)
    const privateKey = createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), scalar]),
      format: 'der',
      type: 'pkcs8',
    })
    const publicKey = createPublicKey({
      key: Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), hubKey]),
      format: 'der',
      type: 'spki',
    })
    const shared = diffieHellman({ privateKey, publicKey })
    const key = new Uint32Array(8)
    const words = (bytes: Uint8Array) => new Uint32Array(Uint8Array.from(bytes).buffer)
    hsalsa(words(Buffer.from('expand 32-byte k')), words(shared), new Uint32Array(4), key)
    const nonce = randomBytes(24)
    const ciphertext = xsalsa20poly1305(new Uint8Array(key.buffer), nonce).encrypt(plaintext)
    return { nonce: nonce.toString('base64'), ciphertext: Buffer.from(ciphertext).toString('base64') }
  }
}
