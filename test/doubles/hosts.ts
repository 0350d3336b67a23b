/**
 * Several hosts on one machine, as network namespaces: each with one interface, at a switch of its site; the sites are
 * joined by a line that can be cut. Needs root and iproute2.
 */
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess, SpawnOptions } from 'node:child_process'

export interface HostsOptions {
  /** Hosts of each site. */
  readonly sites: readonly number[]
  /** Of each host's line, both ways, Mbit/s; without it as fast as the machine. */
  readonly rateMbit?: number
}

/** Why hosts cannot be had here; `false` when they can. */
export function hostsMissing(): string | false {
  if (process.getuid?.() !== 0) return 'needs root'
  try {
    const name = `zhub-${process.pid}-probe`
    ip('netns', 'add', name)
    ip('netns', 'del', name)
    return false
  } catch {
    return 'needs network namespaces (ip netns)'
  }
}

/** One host: programs started here see its network and nothing else. */
export class Host {
  readonly namespace: string
  /** IPv4, reachable from the other hosts. */
  readonly address: string

  constructor(namespace: string, address: string) {
    this.namespace = namespace
    this.address = address
  }

  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.namespace, command, ...args], options)
  }

  /** Bytes that have gone over its line, headers and all. */
  traffic(): { readonly sentBytes: number; readonly receivedBytes: number } {
    const [link] = JSON.parse(ip('-n', this.namespace, '-s', '-j', 'link', 'show', 'eth0')) as [
      { stats64: { rx: { bytes: number }; tx: { bytes: number } } },
    ]
    return { sentBytes: link.stats64.tx.bytes, receivedBytes: link.stats64.rx.bytes }
  }

  /** What the host sends, at most so fast from now on, Mbit/s; `undefined` takes the bound away. */
  setRate(rateMbit: number | undefined): void {
    if (rateMbit !== undefined) shape(this.namespace, 'eth0', rateMbit)
    else execFileSync('tc', ['-n', this.namespace, 'qdisc', 'del', 'dev', 'eth0', 'root'])
  }

  /** The host's line down, or up again. */
  setLine(isUp: boolean): void {
    ip('-n', this.namespace, 'link', 'set', 'eth0', isUp ? 'up' : 'down')
  }
}

let made = 0

export class Hosts {
  readonly all: readonly Host[]
  readonly #switch: string
  readonly #prefix: string
  readonly #options: HostsOptions

  private constructor(options: HostsOptions) {
    this.#options = options
    this.#prefix = `zhub-${process.pid}-${made++}`
    this.#switch = `${this.#prefix}-switch`
    const places = options.sites.flatMap((count, site) => Array.from({ length: count }, () => site))
    this.all = places.map((_, at) => new Host(`${this.#prefix}-${at + 1}`, `10.77.0.${at + 1}`))
    for (const [at, site] of places.entries()) this.#sites.set(this.at(at), site)
  }

  readonly #sites = new Map<Host, number>()

  static open(options: HostsOptions): Hosts {
    const hosts = new Hosts(options)
    try {
      hosts.#build()
      return hosts
    } catch (error) {
      hosts.close()
      throw error
    }
  }

  at(index: number): Host {
    const host = this.all[index]
    if (host === undefined) throw new RangeError(`there is no host ${index}`)
    return host
  }

  /** The line between the first site and the others. */
  setTrunk(isUp: boolean): void {
    for (let site = 1; site < this.#options.sites.length; site++) {
      ip('-n', this.#switch, 'link', 'set', `up${site}`, isUp ? 'up' : 'down')
    }
  }

  /** Whatever still runs in them keeps a namespace alive: stop that first. */
  close(): void {
    for (const namespace of [this.#switch, ...this.all.map((host) => host.namespace)]) {
      try {
        ip('netns', 'del', namespace)
      } catch {
        // it was not made
      }
    }
  }

  #build(): void {
    ip('netns', 'add', this.#switch)
    for (const site of this.#options.sites.keys()) {
      this.#inSwitch('link', 'add', `br${site}`, 'type', 'bridge')
      this.#inSwitch('link', 'set', `br${site}`, 'up')
    }
    for (let site = 1; site < this.#options.sites.length; site++) this.#join(site)
    for (const [at, host] of this.all.entries()) this.#plugIn(host, at)
  }

  #join(site: number): void {
    this.#inSwitch('link', 'add', `up${site}`, 'type', 'veth', 'peer', 'name', `down${site}`)
    this.#inSwitch('link', 'set', `up${site}`, 'master', 'br0', 'up')
    this.#inSwitch('link', 'set', `down${site}`, 'master', `br${site}`, 'up')
  }

  #plugIn(host: Host, at: number): void {
    const port = `port${at + 1}`
    ip('netns', 'add', host.namespace)
    this.#inSwitch('link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host.namespace)
    this.#inSwitch('link', 'set', port, 'master', `br${this.#sites.get(host) ?? 0}`, 'up')
    ip('-n', host.namespace, 'address', 'add', `${host.address}/24`, 'dev', 'eth0')
    for (const device of ['lo', 'eth0']) ip('-n', host.namespace, 'link', 'set', device, 'up')
    // Multicast finds members on this network alone.
    ip('-n', host.namespace, 'route', 'add', '224.0.0.0/4', 'dev', 'eth0')
    const { rateMbit } = this.#options
    if (rateMbit === undefined) return
    shape(host.namespace, 'eth0', rateMbit)
    shape(this.#switch, port, rateMbit)
  }

  #inSwitch(...args: readonly string[]): void {
    ip('-n', this.#switch, ...args)
  }
}

/** What leaves a device, at most so much a second. */
function shape(namespace: string, device: string, rateMbit: number): void {
  const rate = ['rate', `${rateMbit}mbit`, 'burst', '64kb', 'latency', '100ms']
  execFileSync('tc', ['-n', namespace, 'qdisc', 'add', 'dev', device, 'root', 'tbf', ...rate])
}

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString()
}
