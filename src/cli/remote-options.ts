import type { OptionRow } from './arguments.ts'

/** Every command that talks to a node may talk to another one than that of its data folder. */
export const REMOTE_OPTIONS: readonly OptionRow[] = [
  { name: 'url', value: 'URL', help: 'a node somewhere else, instead of the one of --data' },
  { name: 'token', value: 'TOKEN', help: 'who you are there' },
]
