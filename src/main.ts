#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node --max-semi-space-size=8
/** argv → command → exit code. The only place that ends the process and listens for the system's signals. */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { runCommand, type OpenNode, type Program, type Settings } from './cli/run.ts'
import { serve } from './cli/serve.ts'
import { TOKEN_VARIABLE } from './cli/remote-options.ts'
import type { ExitCode } from './cli/command.ts'
import { loadConfig, type Config, type Flags } from './config.ts'
import { dataFolder } from './data-folder.ts'
import type { openNode } from './node.ts'
import { restoreDataFolder } from './restore.ts'
import { SETTINGS } from './settings.ts'
import { createLogger, SILENT, type Logger } from './util/logger.ts'

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (stopping.signal.aborted) process.exit(130)
    stopping.abort(new Error('interrupted'))
  })
}

const version = readVersion()
const program: Program = {
  version,
  settings: SETTINGS,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: stopping.signal,
  environmentToken: process.env[TOKEN_VARIABLE],
  open: (settings) => openForCommand(configOf(settings)),
  offline: (settings) => ({
    // Read when asked for: serve tells a setting that is refused in its own way.
    get data() {
      return configOf(settings).data
    },
    serve: (json) => serveNode(settings, json),
    restore: (backup) => restoreDataFolder(backup, configOf(settings).data, stopping.signal),
  }),
}
process.exit(await runCommand(process.argv.slice(2), program))

function configOf(settings: Settings): Config {
  return loadConfig(process.env, settings as Flags)
}

function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

function serveNode(settings: Settings, json: boolean): Promise<ExitCode> {
  return serve({
    open: () => {
      const config = configOf(settings)
      const log = loggerOf(config)
      process.on('uncaughtException', (error) => {
        log.error('the node ends: an error that nobody expected', {}, error)
        process.exit(1)
      })
      return startNode(config, { version, log, isPublic: true })
    },
    json,
    version,
    signal: stopping.signal,
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
  })
}

/** Loaded when it is needed: most commands ask a running node, and are done before all of this would be read. */
async function startNode(...given: Parameters<typeof openNode>): ReturnType<typeof openNode> {
  const { openNode: open } = await import('./node.ts')
  return open(...given)
}

function loggerOf({ log, logFormat }: Config): Logger {
  return createLogger({ level: log, format: logFormat, write: (line) => void process.stderr.write(line) })
}

/** The running node of the data folder; where none runs, one of this command's own, which nobody else can reach. */
async function openForCommand(config: Config): Promise<OpenNode> {
  const { controlSocket } = dataFolder(config.data)
  if (await answers(controlSocket)) return { address: { socketPath: controlSocket }, close: async () => {} }
  const node = await startNode(config, { version, log: SILENT, isPublic: false })
  return { address: { socketPath: node.controlSocket }, close: () => node.stop() }
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath)
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('close', () => socket.destroy())
    socket.once('connect', () => socket.end())
  })
}
