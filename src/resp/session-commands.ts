/** Commands about the port itself: who the client is, and what the one namespace holds. */
import { encodeArrayHeader, encodeBulk, encodeError, encodeInteger, encodeSimple } from '../format/resp.ts'
import { EMPTY, fromUtf8, toUtf8 } from '../util/bytes.ts'
import { MIB } from '../util/units.ts'
import { INVALID_ARGUMENT, UNEXPECTED_ARGUMENTS } from './chunk-commands.ts'
import { MAX_PASSWORD_BYTES } from './password-gate.ts'
import type { Command, Port, Session } from './port.ts'
import type { Reply } from './reply.ts'

/** Clients that never SELECT (0-fs) find their chunks here, so there is no other. */
const NAMESPACE = 'default'
/** Source: 0-db `NAMESPACE_MAX_LENGTH`. */
const MAX_NAMESPACE_BYTES = 128

const OK = encodeSimple('OK')
const PONG = encodeSimple('PONG')
const ACCESS_DENIED = encodeError('Access denied')
const NAMESPACE_NOT_FOUND = encodeError('Namespace not found')
const NAMESPACE_TOO_LONG = encodeError('Namespace too long')
const PASSWORD_TOO_LONG = encodeError('Password too long')

export const ping: Command = () => PONG

export const auth: Command = (args, session, port) => {
  if (args.length !== 2) return UNEXPECTED_ARGUMENTS
  if (!port.gate.isOpenable) return encodeError('Authentication disabled')
  const password = args[1] ?? EMPTY
  if (password.length === 0) return INVALID_ARGUMENT
  if (password.length > MAX_PASSWORD_BYTES) return PASSWORD_TOO_LONG
  if (!port.gate.accepts(password, session.guessSource)) return denied(session, port)
  session.isAdmin = true
  return OK
}

/** `SELECT default [password]`; an empty password, or any on a port without one, selects for reading. */
export const select: Command = (args, session, port) => {
  const [, name, password = EMPTY] = args
  if (name === undefined) return INVALID_ARGUMENT
  if (name.length > MAX_NAMESPACE_BYTES) return NAMESPACE_TOO_LONG
  if (toUtf8(name) !== NAMESPACE) return NAMESPACE_NOT_FOUND
  if (port.gate.isOpenable) {
    if (args.length > 4) return encodeError('Too many arguments')
    if (args.length === 4) return encodeError('No CHALLENGE requested, secure authentication not available')
    if (password.length > MAX_PASSWORD_BYTES) return PASSWORD_TOO_LONG
    if (password.length > 0 && !port.gate.accepts(password, session.guessSource)) return denied(session, port)
  }
  session.hasSelectedForWriting = port.gate.isOpenable && password.length > 0
  return OK
}

async function denied(session: Session, port: Port): Promise<Reply> {
  session.failures++
  port.counters.authFailures++
  await port.gate.penalty(session.guessSource)
  return ACCESS_DENIED
}

export const dbsize: Command = (_args, _session, port) => encodeInteger(port.chunks.totals().chunks)

export const nslist: Command = () => Buffer.concat([encodeArrayHeader(1), encodeBulk(fromUtf8(NAMESPACE))])

export const nsinfo: Command = (args, _session, port) => {
  const [, name] = args
  if (name === undefined || args.length !== 2) return UNEXPECTED_ARGUMENTS
  if (name.length === 0) return INVALID_ARGUMENT
  if (name.length > MAX_NAMESPACE_BYTES) return NAMESPACE_TOO_LONG
  if (toUtf8(name) !== NAMESPACE) return NAMESPACE_NOT_FOUND
  const { chunks, bytes } = port.chunks.totals()
  return lines([
    '# namespace',
    `name: ${NAMESPACE}`,
    `entries: ${chunks}`,
    'public: yes',
    'worm: yes',
    `locked: ${port.isReadonly ? 'yes' : 'no'}`,
    `password: ${port.gate.isOpenable ? 'yes' : 'no'}`,
    `data_size_bytes: ${bytes}`,
    `data_size_mb: ${inMib(bytes)}`,
    'data_limits_bytes: 0',
    'mode: userkey',
  ])
}

/** The names of 0-db's own fields where there is something to say. */
export const info: Command = (_args, _session, port) => {
  const { counters } = port
  const uptimeS = Math.floor((port.clock() - port.startedAtMs) / 1000)
  let executed = 0
  for (const count of counters.commands.values()) executed += count
  return lines([
    '# server',
    'server_name: 0-db (zhub)',
    `boot_time: ${Math.floor(port.startedAtMs / 1000)}`,
    `uptime: ${uptimeS}`,
    '',
    '# clients',
    `clients_lifetime: ${counters.connectionsTotal}`,
    '',
    '# stats',
    `commands_executed: ${executed}`,
    `commands_failed: ${counters.errors}`,
    `commands_unauthorized: ${counters.authFailures}`,
    `network_rx_bytes: ${counters.bytesIn}`,
    `network_rx_mb: ${inMib(counters.bytesIn)}`,
    `network_tx_bytes: ${counters.bytesOut}`,
    `network_tx_mb: ${inMib(counters.bytesOut)}`,
  ])
}

function inMib(bytes: number): string {
  return (bytes / MIB).toFixed(2)
}

function lines(text: readonly string[]): Uint8Array {
  return encodeBulk(fromUtf8(text.join('\n') + '\n'))
}
