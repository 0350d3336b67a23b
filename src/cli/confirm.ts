import { UsageError, type CommandContext } from './command.ts'

/** For commands that ask before they do what cannot be taken back. */
export const YES = { name: 'yes', help: 'do not ask' }

/**
 * Asks on the terminal, unless `--yes` is given; the question says what would happen.
 * @throws {UsageError} where nobody can answer.
 */
export async function agrees({ options, stdin, stderr }: CommandContext, question: string): Promise<boolean> {
  if (options.flag('yes')) return true
  requireAnswer({ options, stdin })
  await stderr.write(`${question} Type yes to go on: `)
  return /^yes$/i.test((await readLine(stdin)).trim())
}

/** @throws {UsageError} where nobody can answer, and `--yes` is not given. */
export function requireAnswer({ options, stdin }: Pick<CommandContext, 'options' | 'stdin'>): void {
  if (options.flag('yes') || stdin.isTTY === true) return
  throw new UsageError('this command asks before it does anything: where nobody can answer, give --yes')
}

async function readLine(input: AsyncIterable<Uint8Array>): Promise<string> {
  let text = ''
  for await (const piece of input) {
    text += Buffer.from(piece).toString('utf8')
    if (text.includes('\n') || text.length > 100) break
  }
  return text.split('\n')[0] ?? ''
}
