import type { Command } from './command.ts'
import { parseReference, referencePath } from './flist-reference.ts'

export const cat: Command = {
  name: 'cat',
  usage: '<repo/name> <path>',
  summary: 'print one file of an image, its raw bytes',
  options: [],
  takes: [2, 2],
  remote: true,
  async run({ args: [name = '', path = ''], client, stdout }) {
    const route = `/api/v1/file/${referencePath(parseReference(name))}`
    const { bytes } = await (await client()).stream(route, { query: { path: pathInImage(path) } })
    for await (const piece of bytes) await stdout.write(piece)
    return 0
  },
}

/** `/etc//passwd` and `./etc/passwd` are `etc/passwd`; `..` is left for the node to refuse. */
function pathInImage(path: string): string {
  return path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')
}
