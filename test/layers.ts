/** Who may import whom below src/, and which folder is the home of each library (design: one home each). */
import { posix } from 'node:path'
import { isBuiltin } from 'node:module'
import ts from 'typescript'

/** A folder may always import itself and errors.ts. The root of src/ wires everything, so it may import anything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  util: [],
  format: ['util'],
  store: ['util', 'format'],
  flist: ['util', 'format', 'store'],
  repo: ['util', 'format', 'store'],
  image: ['util', 'format', 'store'],
  net: ['util', 'format', 'store'],
  sync: ['util', 'format', 'store', 'flist', 'repo', 'net'],
  web: ['util', 'format'],
  http: ['util', 'format', 'store', 'flist', 'repo', 'image', 'sync', 'web'],
  resp: ['util', 'format', 'store', 'flist', 'repo'],
  cli: ['util', 'format', 'store', 'flist', 'repo'],
}

/** Of the store, others may know only these: the ports, and what works over a port alone. The rest is wired at the root. */
const STORE_PORTS: readonly string[] = [
  'store/row-store.ts',
  'store/chunk-list.ts',
  'store/chunk-store.ts',
  'store/flist-store.ts',
  'store/receive.ts',
]

const HOME_OF: Readonly<Record<string, string>> = {
  'classic-level': 'store',
  fzstd: 'flist',
  '@noble/ciphers': 'format',
  'hash-wasm': 'format',
  '@ipld/dag-cbor': 'format',
  multiformats: 'format',
  libp2p: 'net',
  '@libp2p/crypto': 'net',
  '@libp2p/gossipsub': 'net',
  '@libp2p/identify': 'net',
  '@libp2p/interface': 'net',
  '@libp2p/kad-dht': 'net',
  '@libp2p/mdns': 'net',
  '@libp2p/peer-id': 'net',
  '@libp2p/ping': 'net',
  '@libp2p/tcp': 'net',
  '@chainsafe/libp2p-noise': 'net',
  '@chainsafe/libp2p-yamux': 'net',
  '@multiformats/multiaddr': 'net',
  fastify: 'http',
  '@fastify/busboy': 'http',
  'prom-client': 'http',
}

/** One sentence for each import of a file (path below src/, `/`-separated) that the layers forbid. */
export function violations(file: string, source: string): string[] {
  const [first = ''] = file.split('/')
  const folder = file.includes('/') ? first : undefined
  if (folder !== undefined && !Object.hasOwn(MAY_IMPORT, folder)) return [`src/${folder}/ is in no layer`]
  return importsOf(source).flatMap((name) => {
    if (!name.startsWith('.')) return libraryViolation(file, folder, name) ?? []
    return folder === undefined
      ? []
      : (layerViolation(file, folder, posix.join(posix.dirname(file), name)) ?? [])
  })
}

export function importsOf(source: string): string[] {
  return ts.preProcessFile(source, true, true).importedFiles.map(({ fileName }) => fileName)
}

function layerViolation(file: string, folder: string, target: string): string | undefined {
  const [targetFolder = ''] = target.split('/')
  if (![folder, 'errors.ts', ...(MAY_IMPORT[folder] ?? [])].includes(targetFolder))
    return `src/${file} imports src/${target}`
  const isForeignStore = targetFolder === 'store' && folder !== 'store'
  return isForeignStore && !STORE_PORTS.includes(target)
    ? `src/${file} imports src/${target}, which is no port`
    : undefined
}

function libraryViolation(file: string, folder: string | undefined, name: string): string | undefined {
  if (isBuiltin(name)) return undefined
  const library = name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/')
  const home = Object.hasOwn(HOME_OF, library) ? HOME_OF[library] : undefined
  if (home === undefined) return `src/${file} imports ${library}, which has no home`
  return home === folder ? undefined : `src/${file} imports ${library}, whose home is src/${home}/`
}
