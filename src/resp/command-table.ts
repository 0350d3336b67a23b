import { encodeError } from '../format/resp.ts'
import { toLatin1 } from '../util/bytes.ts'
import { check, exists, get, keytime, length, mget, scan, set } from './chunk-commands.ts'
import type { Command } from './port.ts'
import { auth, dbsize, info, nsinfo, nslist, ping, select } from './session-commands.ts'

const notSupported: Command = () => encodeError('Command not supported')
const permissionDenied: Command = () => encodeError('Permission denied')

/**
 * 0-db's table in 0-db's order (`zdbd/commands.c`), because a name matches by prefix and the first match wins: `S` is
 * SET, `SC` is SCAN, `I` is INDEX. What the port does not do keeps its place, or another command would take its prefix.
 * LENGTH and KEYTIME are newer than the table at hand; only the prefixes `L`, `K` and `KEY` depend on their place.
 */
const TABLE: ReadonlyArray<readonly [name: string, run: Command]> = [
  ['*', () => encodeError('This is not a valid command')],
  ['WAIT', notSupported],
  ['MIRROR', permissionDenied],
  ['MASTER', permissionDenied],
  ['PING', ping],
  ['TIME', notSupported],
  ['AUTH', auth],
  ['HOOKS', permissionDenied],
  ['INDEX', permissionDenied],
  ['SET', set],
  ['SETX', set],
  ['GET', get],
  ['MGET', mget],
  ['DEL', notSupported],
  ['EXISTS', exists],
  ['CHECK', check],
  ['SCAN', scan],
  ['SCANX', scan],
  ['RSCAN', notSupported],
  ['KSCAN', notSupported],
  ['HISTORY', notSupported],
  ['KEYCUR', notSupported],
  ['KEYTIME', keytime],
  ['LENGTH', length],
  ['INFO', info],
  ['STOP', notSupported],
  ['DBSIZE', dbsize],
  ['NSNEW', permissionDenied],
  ['NSDEL', permissionDenied],
  ['NSLIST', nslist],
  ['NSSET', permissionDenied],
  ['NSINFO', nsinfo],
  ['SELECT', select],
  ['RELOAD', permissionDenied],
  ['FLUSH', permissionDenied],
]

export interface TableEntry {
  /** As the counters know it. */
  readonly name: string
  readonly run: Command
  /** May run beside others of its kind on one connection; replies keep their order. */
  readonly isWrite: boolean
}

const ENTRIES: readonly TableEntry[] = TABLE.map(([name, run]) => ({ name, run, isWrite: run === set }))
const BY_NAME = new Map(ENTRIES.map((entry) => [entry.name, entry]))
const UNKNOWN: TableEntry = { name: 'unknown', run: notSupported, isWrite: false }

/** The command that 0-db would run for `name`. Whole names in capitals, which clients send, are found at once. */
export function findCommand(name: Uint8Array): TableEntry {
  const text = toLatin1(name)
  const exact = BY_NAME.get(text)
  if (exact !== undefined) return exact
  const prefix = text.toUpperCase()
  return ENTRIES.find((entry) => entry.name.startsWith(prefix)) ?? UNKNOWN
}
