/** The images that the recorded conversions of the original were made of (hub-api.md §8.4), at a registry of ours. */
import { gzipSync } from 'node:zlib'
import { noise } from './noise.ts'
import type { TestRegistry } from './registry.ts'
import { member, tarOf } from './tar-bytes.ts'

const LAYER = gzipSync(
  tarOf(
    member({ path: 'bin/', kind: 'directory' }),
    member({ path: 'bin/sh', content: noise(1300, 1300), mode: 0o755 }),
    member({ path: 'bin/ash', kind: 'link', linkTarget: 'sh' }),
    member({ path: 'etc/', kind: 'directory' }),
    member({ path: 'etc/hostname', content: 'h\n' }),
    member({ path: 'tmp/', kind: 'directory', mode: 0o1777 }),
  ),
)

const CONFIGS: Readonly<Record<string, object>> = {
  'library/busybox:latest': {
    Cmd: ['sh'],
    Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
  },
  'acme/web:1.0': {
    Entrypoint: ['/docker-entrypoint.sh'],
    Cmd: ['nginx', '-g', 'daemon off;'],
    WorkingDir: '/app',
    Env: ['PATH=/usr/bin', 'EMPTY=', 'EQ=a=b'],
  },
  'library/multi:1': { Entrypoint: ['/bin/sh', '-c'], Cmd: ['echo hi'] },
  'library/noentry:1': {},
  'library/entrynocmd:1': { Entrypoint: ['/bin/ash'], Cmd: null },
}

/** Pushes them; `err500` and `streamerr` fail as the recorded engine did, anything else is not there. */
export function pushRecordedImages(registry: TestRegistry): void {
  for (const [name, config] of Object.entries(CONFIGS)) registry.push(name, { layers: [LAYER], config })
  registry.intercept = ({ url = '' }, response) =>
    /\/(?:err500|streamerr)\//.test(url) && !!response.writeHead(500).end()
}
