/** One line an event, on stderr: words for people, JSON for collectors. Secrets are never passed in. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug'
export const LOG_LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug']
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Logger {
  error(message: string, fields?: LogFields, cause?: unknown): void
  warn(message: string, fields?: LogFields, cause?: unknown): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
}

export interface LoggerOptions {
  readonly level: LogLevel
  readonly format: 'text' | 'json'
  readonly write: (line: string) => void
}

export function createLogger(options: LoggerOptions): Logger {
  const highest = LOG_LEVELS.indexOf(options.level)
  const log = (level: LogLevel, message: string, fields: LogFields = {}, cause?: unknown) => {
    if (LOG_LEVELS.indexOf(level) > highest) return
    options.write((options.format === 'json' ? jsonLine : textLine)(level, message, fields, cause) + '\n')
  }
  return {
    error: (message, fields, cause) => log('error', message, fields, cause),
    warn: (message, fields, cause) => log('warn', message, fields, cause),
    info: (message, fields) => log('info', message, fields),
    debug: (message, fields) => log('debug', message, fields),
  }
}

/** Says nothing: for tests and for commands that print their own result. */
export const SILENT: Logger = { error() {}, warn() {}, info() {}, debug() {} }

function textLine(level: LogLevel, message: string, fields: LogFields, cause: unknown): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? JSON.stringify(value) : value}`)
  return `${new Date().toISOString()} ${level.padEnd(5)} ${message}${pairs.join('')}${causeText(cause)}`
}

function jsonLine(level: LogLevel, message: string, fields: LogFields, cause: unknown): string {
  const error = cause === undefined ? undefined : causeText(cause).slice(2)
  return JSON.stringify({ time: new Date().toISOString(), level, message, ...fields, error })
}

/** The message of an error and of what caused it; the stack only of what nobody expected. */
function causeText(cause: unknown): string {
  let text = ''
  for (let at = cause, depth = 0; at !== undefined && at !== null && depth < 5; depth++) {
    text += `: ${at instanceof Error ? errorText(at) : String(at)}`
    at = at instanceof Error ? at.cause : undefined
  }
  return text
}

function errorText(error: Error): string {
  const isBug = error instanceof TypeError || error instanceof RangeError
  return isBug ? (error.stack ?? error.message) : error.message
}
