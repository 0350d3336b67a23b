/** The pinned keys of those who sign in by 3Bot: seen, and forgotten when somebody has a new one. */
import type { Command } from './command.ts'
import { formatTime, writeJson, writeTable } from './output.ts'

interface KeyRow {
  readonly user: string
  readonly key: string
  /** Unix seconds. */
  readonly pinned: number
}

const PATH = '/api/v1/login-keys'

export const listLogins: Command = {
  name: 'login list',
  usage: '',
  summary: 'list who has signed in by 3Bot, and the key that is pinned since',
  options: [{ name: 'json', help: '{items: [{user, key, pinned}], next}' }],
  takes: [0, 0],
  remote: true,
  async run({ options, client, stdout }) {
    const answer = (await (await client()).call('GET', PATH)) as { items: readonly KeyRow[] }
    if (options.flag('json')) {
      await writeJson(stdout, answer)
      return 0
    }
    const rows = answer.items.map(({ user, key, pinned }) => [user, key, formatTime(pinned)])
    await writeTable(stdout, ['USER', 'KEY', 'PINNED'], rows)
    return 0
  },
}

export const forgetLogin: Command = {
  name: 'login forget',
  usage: '<user>',
  summary: 'forget the pinned key of a user who has a new one; the next sign-in pins that',
  options: [{ name: 'json', help: '{forgotten}' }],
  takes: [1, 1],
  remote: true,
  async run({ args, options, client, stdout }) {
    const path = `${PATH}/${encodeURIComponent(args[0] ?? '')}`
    const answer = (await (await client()).call('DELETE', path)) as { forgotten: string }
    await (options.flag('json') ? writeJson(stdout, answer) : stdout.write(`${answer.forgotten}\n`))
    return 0
  },
}
