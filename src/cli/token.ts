/** Tokens of people and programs: made, listed, taken back. A token is shown once, when it is made. */
import type { Command } from './command.ts'
import { formatTime, writeJson, writeTable } from './output.ts'

interface TokenRow {
  readonly id: string
  readonly user: string
  readonly created: number
  /** Unix seconds; `null` = never. */
  readonly expires: number | null
  readonly revoked?: boolean
}

export const createToken: Command = {
  name: 'token create',
  usage: '<user> [--ttl 30d]',
  summary: 'make a token that signs in as a user, and print it this once',
  options: [
    { name: 'ttl', value: 'DURATION', help: 'how long it holds, 0 = for ever; default as the node is set' },
    { name: 'json', help: '{user, token, expires}' },
  ],
  takes: [1, 1],
  remote: true,
  async run({ args, options, client, stdout }) {
    const ttl = options.seconds('ttl')
    const node = await client()
    const made = (await node.call('POST', '/api/v1/tokens', {
      json: { user: args[0], ...(ttl === undefined ? {} : { ttl }) },
    })) as TokenRow & { token: string }
    const { user, token, expires } = made
    await (options.flag('json') ? writeJson(stdout, { user, token, expires }) : stdout.write(`${token}\n`))
    return 0
  },
}

export const listTokens: Command = {
  name: 'token list',
  usage: '',
  summary: 'list tokens by id, never the tokens themselves',
  options: [{ name: 'json', help: '{items: [{id, user, created, expires, revoked}], next}' }],
  takes: [0, 0],
  remote: true,
  async run({ options, client, stdout }) {
    const answer = (await (await client()).call('GET', '/api/v1/tokens')) as { items: readonly TokenRow[] }
    if (options.flag('json')) {
      await writeJson(stdout, answer)
      return 0
    }
    const rows = answer.items.map(({ id, user, created, expires, revoked }) => [
      id,
      user,
      formatTime(created),
      revoked === true ? 'revoked' : formatTime(expires, 'never'),
    ])
    await writeTable(stdout, ['ID', 'USER', 'CREATED', 'EXPIRES'], rows)
    return 0
  },
}

export const revokeToken: Command = {
  name: 'token revoke',
  usage: '<id or user>',
  summary: 'take back a token, or every token of a user',
  options: [{ name: 'json', help: '{revoked: [{id, user}]}' }],
  takes: [1, 1],
  remote: true,
  async run({ args, options, client, stdout }) {
    const path = `/api/v1/tokens/${encodeURIComponent(args[0] ?? '')}`
    const answer = (await (await client()).call('DELETE', path)) as { revoked: readonly TokenRow[] }
    if (options.flag('json')) await writeJson(stdout, answer)
    else
      await writeTable(
        stdout,
        ['REVOKED', 'USER'],
        answer.revoked.map(({ id, user }) => [id, user]),
      )
    return 0
  },
}
