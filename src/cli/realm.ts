/** The realm of the node: made, joined, left; its nodes admitted and cut. */
import { RemoteError } from './remote-error.ts'
import { UnavailableError } from '../errors.ts'
import type { NodeClient } from './client.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command, CommandContext } from './command.ts'
import { agrees, requireAnswer, YES } from './confirm.ts'
import { counted, formatTime, printable, writeJson, writeTable } from './output.ts'

interface RealmView {
  readonly realm: string
  readonly name: string
  readonly shared: boolean
  readonly node: string
  readonly mayAdmit: boolean
  readonly rootConflict: boolean
  readonly joining: boolean
  readonly generation: number
  /** What came along into this realm when the node last opened, and what could not; `null`: nothing was moved then. */
  readonly moved: { readonly names: number; readonly left: number } | null
  readonly members: ReadonlyArray<{
    readonly node: string
    readonly name: string
    readonly roles: readonly string[]
    readonly state: string
    readonly added: number
  }>
}

interface Done {
  /** The node opens anew after that generation of its parts: it answers again in a moment. */
  readonly reopensAfter?: number
  readonly name?: string
  readonly state?: string
  readonly why?: string
  readonly node?: string
  readonly logs?: number
  readonly invite?: string
}

const JSON_OPTION = { name: 'json', help: 'one JSON document' }
const ADDRESS = {
  name: 'address',
  value: 'MULTIADDR',
  help: 'where others reach this node, besides where it listens',
}
const AS = {
  name: 'as',
  value: 'NAME',
  help: 'what this node is called in the realm; default: the name of the machine',
}

/** How long a node may take to open anew, with all that it republishes. */
const REOPEN_MS = 10 * 60_000
const ASK_EVERY_MS = 250

export const realmStatus: Command = {
  name: 'realm status',
  usage: '',
  summary: 'show the realm, its nodes, and what this one may do',
  options: [JSON_OPTION],
  takes: [0, 0],
  remote: true,
  run: showRealm,
}

async function showRealm({ options, client, stdout, stderr }: CommandContext): Promise<0> {
  const view = (await (await client()).call('GET', '/api/v1/realm')) as RealmView
  if (options.flag('json')) {
    await writeJson(stdout, view)
    return 0
  }
  const name = view.name === '' ? 'without a name' : printable(view.name)
  await stderr.write(`realm ${name}, ${view.realm}\n`)
  if (!view.shared) await stderr.write('this node is alone: zhub realm create, or zhub realm join INVITE\n')
  if (view.joining)
    await stderr.write('an invite waits: this node joins another realm as soon as its inviter answers\n')
  if (view.mayAdmit) await stderr.write('this node may admit others\n')
  if (view.rootConflict)
    await stderr.write('two root documents of one version are there: somebody else has the root key\n')
  const rows = view.members.map(({ node, name: called, roles, state, added }) => [
    node.slice(0, 16),
    called === '' ? '-' : called,
    node === view.node ? 'this node' : state,
    roles.join(' '),
    formatTime(added),
  ])
  await writeTable(stdout, ['NODE', 'NAME', 'STATE', 'ROLES', 'SINCE'], rows)
  return 0
}

export const createRealm: Command = {
  name: 'realm create',
  usage: '[NAME]',
  summary: 'name the realm of this node, and let others come',
  options: [AS, ADDRESS, JSON_OPTION],
  takes: [0, 1],
  remote: true,
  run: (context) =>
    act(
      context,
      'create',
      { name: context.args[0], node: context.options.text('as'), addresses: addressesOf(context) },
      ({ name }) => `this node is the first of the realm ${name}: zhub realm invite brings in the next`,
    ),
}

export const inviteNode: Command = {
  name: 'realm invite',
  usage: '',
  summary: 'print an invite for one node, good for a day: who has it can join',
  options: [ADDRESS, JSON_OPTION],
  takes: [0, 0],
  remote: true,
  async run(context) {
    const { options, client, stdout } = context
    const made = (await (
      await client()
    ).call('POST', '/api/v1/realm/invite', {
      json: { addresses: addressesOf(context) },
    })) as Done
    await (options.flag('json') ? writeJson(stdout, made) : stdout.write(`${made.invite}\n`))
    return 0
  },
}

export const joinRealm: Command = {
  name: 'realm join',
  usage: 'INVITE',
  summary: 'take this node, with everything it holds, into the realm of an invite',
  options: [AS, JSON_OPTION],
  takes: [1, 1],
  remote: true,
  run: (context) =>
    act(
      context,
      'join',
      { invite: context.args[0]?.trim(), node: context.options.text('as') },
      ({ state, name, why }, moved) => {
        if (state === 'stored') return 'the invite is kept: zhub serve joins the realm'
        if (state === 'waiting')
          return `the inviter is away, or the invite was used (${why}): the node goes on asking until the invite ends`
        return `this node is in the realm ${name}${broughtAlong(moved)}`
      },
    ),
}

export const leaveRealm: Command = {
  name: 'realm leave',
  usage: '[--yes]',
  summary: 'take this node, with everything it holds, out of the realm into one of its own',
  options: [YES, JSON_OPTION],
  takes: [0, 0],
  remote: true,
  async run(context) {
    requireAnswer(context)
    const view = (await (await context.client()).call('GET', '/api/v1/realm')) as RealmView
    const name = printable(view.name === '' ? 'without a name' : view.name)
    const question =
      `This node leaves the realm ${name}: it gets no more of what the others publish, they get no more of what it\n` +
      'publishes, and its tokens are void there. What it holds comes along. An invite brings it back.'
    if (view.shared && !(await agrees(context, question))) {
      await context.stderr.write('this node stays\n')
      return 1
    }
    return act(
      context,
      'leave',
      {},
      (_, moved) => `this node has left the realm ${name} and is alone${broughtAlong(moved)}`,
    )
  },
}

export const cutNode = onNode(
  'cut',
  'stop counting what a node signs from now on, and void its tokens',
  ({ name, node, logs }) => `${name || node} is cut, at the last known operation of ${logs} logs`,
)

export const uncutNode = onNode(
  'uncut',
  'take the cut of a node back',
  ({ name, node }) => `${name || node} counts again`,
)

export const addAdmin = onNode(
  'add-admin',
  'let a node admit and cut others too, so that the loss of this one is no loss of the realm',
  ({ name, node }) => `${name || node} may do what this node may`,
)

export const rotateKey: Command = {
  name: 'realm rotate',
  usage: '',
  summary: 'give this node another key, and stop counting what the old one signs',
  options: [JSON_OPTION],
  takes: [0, 0],
  remote: true,
  run: (context) =>
    act(context, 'rotate', {}, ({ state }) =>
      state === 'stored' ? 'the node takes another key at its next start' : 'this node has another key',
    ),
}

function onNode(action: string, summary: string, say: (done: Done) => string): Command {
  return {
    name: `realm ${action}`,
    usage: 'NODE',
    summary,
    options: [JSON_OPTION],
    takes: [1, 1],
    remote: true,
    run: (context) => act(context, action, { node: context.args[0] }, say),
  }
}

function broughtAlong(moved: RealmView['moved']): string {
  if (moved === null) return ''
  const left = moved.left === 0 ? '' : `; ${moved.left} stay behind, whose content is not here`
  return `: ${counted(moved.names, 'name')} came along${left}`
}

function addressesOf({ options }: CommandContext): string[] {
  return (options.text('address') ?? '').split(',').filter((address) => address !== '')
}

async function act(
  { options, client, stdout, stderr, signal }: CommandContext,
  action: string,
  json: object,
  say: (done: Done, moved: RealmView['moved']) => string,
): Promise<0> {
  const node = await client()
  const done = (await node.call('POST', `/api/v1/realm/${action}`, { json })) as Done
  const view = done.reopensAfter === undefined ? undefined : await opensAgain(node, done.reopensAfter, signal)
  if (options.flag('json')) await writeJson(stdout, done)
  else await stderr.write(`${printable(say(done, view?.moved ?? null))}\n`)
  return 0
}

/** Nobody listens: a node that opens anew does. */
function isGone(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && (cause.code === 'ECONNREFUSED' || cause.code === 'ENOENT')) return true
  }
  return false
}

/** Waits until the node has opened its parts anew. @throws {UnavailableError} when it does not, or has ended. */
async function opensAgain(node: NodeClient, generation: number, signal: AbortSignal): Promise<RealmView> {
  for (const byMs = Date.now() + REOPEN_MS; ; await sleep(ASK_EVERY_MS, undefined, { signal })) {
    try {
      const view = (await node.call('GET', '/api/v1/realm')) as RealmView
      if (view.generation > generation) return view
    } catch (error) {
      if (isGone(error)) {
        throw new UnavailableError('the node has ended: what it was asked for is done at its next start', {
          cause: error,
        })
      }
      const isAway = error instanceof UnavailableError || error instanceof RemoteError
      if (!isAway || Date.now() > byMs) throw error
    }
    if (Date.now() > byMs) throw new UnavailableError('the node does not open again: its log says why')
  }
}
