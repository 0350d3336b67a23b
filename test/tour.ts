/** The commands of README.md: ```console blocks, `$ ` before a command, what it prints below. */
import { spawn } from 'node:child_process'

export interface TourStep {
  readonly command: string
  readonly output: string
}

/** Every command of the ```console blocks, in order. A line that ends in `\` goes on in the next. */
export function parseTour(markdown: string): TourStep[] {
  const steps: Array<{ command: string; output: string[] }> = []
  for (const [, block = ''] of markdown.matchAll(/^```console\n([\s\S]*?)^```$/gm)) {
    let isContinued = false
    for (const line of block.trimEnd().split('\n')) {
      const last = steps.at(-1)
      if (line.startsWith('$ ')) steps.push({ command: line.slice(2), output: [] })
      else if (isContinued && last !== undefined) last.command += `\n${line}`
      else last?.output.push(line)
      isContinued = (line.startsWith('$ ') || isContinued) && line.endsWith('\\')
    }
  }
  return steps.map(({ command, output }) => ({ command, output: output.join('\n') }))
}

/** Runs the commands one after the other in one shell, and answers what each printed. */
export async function runTour(
  commands: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): Promise<Array<{ readonly output: string; readonly status: number }>> {
  const script = commands.map((command, at) => `${command}\nprintf '\\n\\036%d %d\\n' ${at} $?`).join('\n')
  const shell = spawn('bash', ['-c', `exec 2>&1\n${script}`], {
    ...options,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  for await (const piece of shell.stdout) printed += String(piece)
  return commands.map((_, at) => {
    const [before = '', after = ''] = printed.split(new RegExp(`\\n\\x1e${at} `))
    const output = before.split(/\x1e\d+ \d+\n/).at(-1) ?? ''
    return { output: output.trimEnd(), status: Number(/^\d+/.exec(after)?.[0] ?? -1) }
  })
}

/** What differs from run to run, made equal: times, digests, tokens, free ports, temporary folders. */
export function maskVolatile(text: string): string {
  return (
    text
      .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z/g, 'TIME')
      .replace(/[A-Za-z0-9_-]{100,}={0,2}/g, 'TOKEN')
      .replace(/\b[0-9a-f]{16,64}\b/g, 'HEX')
      .replace(/\b1[0-9]{9}\b/g, 'SECONDS')
      .replace(/127\.0\.0\.1:\d+/g, 'ADDRESS')
      .replace(/"port": \d+/g, '"port": PORT')
      // An flist is served with the port in it, so its size depends on the port's digits.
      .replace(/"size": \d+(?=, "updated")/g, '"size": BYTES')
      .replace(/^served .*bytes\)/gm, 'served BYTES')
      // The folder of the tour was made just now, and its flist holds the times.
      .replace(/\d+ bytes \([\d.]+ KiB\)/g, 'BYTES')
      .replace(/\/tmp\/[\w./-]+/g, 'FOLDER')
      .trimEnd()
  )
}
