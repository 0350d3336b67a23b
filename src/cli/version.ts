import type { Command } from './command.ts'

export const version: Command = {
  name: 'version',
  usage: '',
  summary: 'print the version of this program',
  options: [],
  takes: [0, 0],
  async run({ stdout, version: text }) {
    await stdout.write(`zhub ${text}\n`)
    return 0
  },
}
