/** Requests as they stand in a recording, over a socket of their own, to the byte. */
import { connect } from 'node:net'

export interface WireAnswer {
  readonly status: number
  readonly text: string
}

/** Sends a head as it is; the answer is whole when as many bytes have come as it says. */
export function sendWire(port: number, head: string, body: Uint8Array): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let received = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`the connection ended after ${received.length} bytes`)))
    socket.on('data', (piece) => {
      received = Buffer.concat([received, piece])
      const answer = parseAnswer(received)
      if (answer === undefined) return
      resolve(answer)
      socket.destroy()
    })
    socket.write(head)
    socket.write(body)
  })
}

function parseAnswer(bytes: Buffer): WireAnswer | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = bytes.subarray(0, end).toString('latin1')
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0)
  const text = bytes.subarray(end + 4)
  if (text.length < length) return undefined
  return { status: Number(head.slice(9, 12)), text: text.subarray(0, length).toString() }
}
