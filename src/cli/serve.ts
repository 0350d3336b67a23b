/** `zhub serve`: starts the node, says where everything is, and runs until it is told to stop. */
import { once } from 'node:events'
import { HubError, type HubErrorCode } from '../errors.ts'
import type { ExitCode } from './command.ts'

/** A node that answers, as the composition root gives it. */
export interface RunningNode {
  /** `http://127.0.0.1:5555`, first is the one to show. */
  readonly http: readonly string[]
  /** `127.0.0.1:9900` */
  readonly resp: readonly string[]
  /** Multiaddrs of this node for peers, each with `/p2p/…`; none for a node alone. */
  readonly p2p: readonly string[]
  readonly data: string
  readonly tokenFile: string
  /** The admin token, only in the run that made it. */
  readonly newAdminToken: string | undefined
  readonly chunkWrites: boolean
  /** What the operator should know, one sentence each. */
  readonly warnings: readonly string[]
  /** Resolves with what keeps it from answering any more; never, while all is well. */
  readonly failed?: Promise<unknown>
  stop(): Promise<void>
}

export interface ServeContext {
  readonly open: () => Promise<RunningNode>
  readonly json: boolean
  readonly version: string
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
}

/** From the signal to the end of the process, whatever still goes on (interfaces.md: within 10 s). */
const STOP_WITHIN_MS = 9_000

/** How much of that opening may take, when the signal comes while the node opens. */
const OPEN_WITHIN_MS = 4_000

/** Resolves to the exit code once the node has stopped. */
export async function serve(context: ServeContext): Promise<ExitCode> {
  let node: RunningNode
  let stopByMs = Infinity
  const setDeadline = () => (stopByMs = performance.now() + STOP_WITHIN_MS)
  if (context.signal.aborted) setDeadline()
  else context.signal.addEventListener('abort', setDeadline, { once: true })
  try {
    const opened = await openUnlessStopped(context)
    if (opened === undefined) return 0
    node = opened
  } catch (error) {
    if (context.signal.aborted) return 0
    report(context, error)
    return 1
  }
  context.write(context.json ? jsonBanner(node) : textBanner(node, context.version))
  const failure = context.signal.aborted ? undefined : await failureOf(node, context.signal)
  if (failure !== undefined) {
    await node.stop().catch(() => {})
    return 1
  }
  if (!context.json) context.write('stopping …\n')
  return stopInTime(node, context, stopByMs - performance.now())
}

/** Why the node has ended by itself; `undefined` when it was told to stop. */
async function failureOf({ failed }: RunningNode, signal: AbortSignal): Promise<unknown> {
  const stopped = once(signal, 'abort').then(() => undefined)
  return await (failed === undefined ? stopped : Promise.race([stopped, failed]))
}

/** `undefined`: told to stop, and opening did not end in time; what it has begun ends with the process. */
async function openUnlessStopped({ open, signal }: ServeContext): Promise<RunningNode | undefined> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<undefined>((resolve) => {
    const wait = () => (timer = setTimeout(() => resolve(undefined), OPEN_WITHIN_MS))
    if (signal.aborted) wait()
    else signal.addEventListener('abort', wait, { once: true })
  })
  try {
    return await Promise.race([open(), tooLate])
  } finally {
    clearTimeout(timer)
  }
}

async function stopInTime(node: RunningNode, context: ServeContext, withinMs: number): Promise<ExitCode> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), withinMs)))
  try {
    const ended = await Promise.race([node.stop(), late])
    if (ended === 'late')
      context.writeError('zhub: stopped without waiting any longer; nothing acknowledged is lost\n')
    return 0
  } catch (error) {
    context.writeError(`zhub: ${messageOf(error)}\n`)
    return 1
  } finally {
    clearTimeout(timer)
  }
}

function report(context: ServeContext, error: unknown): void {
  const code: HubErrorCode | 'HUB_START' = error instanceof HubError ? error.code : 'HUB_START'
  if (context.json) context.write(JSON.stringify({ error: { code, message: messageOf(error) } }) + '\n')
  context.writeError(`zhub: cannot start: ${messageOf(error)}\n`)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The one line that scripts wait for (interfaces.md, Program). */
export function jsonBanner({ http, resp, p2p, data, tokenFile }: RunningNode): string {
  return JSON.stringify({ http: http[0], resp: resp[0], p2p, data, tokenFile }) + '\n'
}

export function textBanner(node: RunningNode, version: string): string {
  const chunks = `${node.resp.join(', ')}${node.chunkWrites ? '' : '   (read only: no ZHUB_RESP_PASSWORD is set)'}`
  const lines = [
    `zhub ${version} is ready. Ctrl-C stops it.`,
    '',
    `  API          ${node.http.join(', ')}`,
    `  chunk port   ${chunks}`,
    `  data         ${node.data}`,
    `  admin token  ${node.tokenFile}`,
  ]
  if (node.newAdminToken !== undefined)
    lines.push('', '  The admin token, shown this once:', '', `  ${node.newAdminToken}`)
  for (const warning of node.warnings) lines.push('', `  Note: ${warning}`)
  lines.push(
    '',
    '  Publish an image:',
    `  curl -H "Authorization: bearer $(cat ${node.tokenFile})" -F file=@image.tar.gz ${node.http[0]}/api/flist/me/upload`,
    '',
  )
  return lines.join('\n') + '\n'
}
