/**
 * The settings table: one row a setting. From it come the environment names, the flags, the keys of the JSON file,
 * `--help` and the README's table. config.ts turns it into values.
 */
export type SettingKind =
  'text' | 'secret' | 'path' | 'url' | 'listen' | 'list' | 'flag' | 'choice' | 'size' | 'duration' | 'count'

export interface Setting {
  /** Flag without its dashes, and key in the JSON file; the environment name is ZHUB_ and this in capitals. */
  readonly key: string
  readonly kind: SettingKind
  /** As the user would write it; none = unset. */
  readonly default?: string
  readonly choices?: readonly string[]
  readonly help: string
}

/** The environment name of a setting. */
export function environmentName(key: string): string {
  return 'ZHUB_' + key.toUpperCase().replaceAll('-', '_')
}

// prettier-ignore
export const SETTINGS = [
  { key: 'data', kind: 'path', help: 'data folder; default `$XDG_DATA_HOME/zhub` or `~/.local/share/zhub`' },
  { key: 'config', kind: 'path', help: 'a JSON file of these keys; environment and flags win over it' },
  { key: 'http', kind: 'listen', default: '127.0.0.1:5555', help: 'addresses of the API, comma list; port 0 = any free port' },
  { key: 'resp', kind: 'listen', default: '127.0.0.1:9900', help: 'addresses of the chunk port, comma list' },
  { key: 'resp-password', kind: 'secret', help: 'password for writes on the chunk port; none = no writes there' },
  { key: 'p2p', kind: 'list', default: '/ip4/0.0.0.0/tcp/9901', help: 'multiaddrs that peers are listened for at, once the node is in a realm; comma list, `tcp/0` = any free port' },
  { key: 'p2p-announce', kind: 'list', help: 'multiaddrs that peers are told to reach this node at, where they are not those it listens at: behind a port forwarding, for instance' },
  { key: 'peers', kind: 'list', help: 'multiaddrs of peers to keep connected, e.g. `/ip4/10.0.0.2/tcp/9901`; those of the realm are known without' },
  { key: 'bootstrap', kind: 'list', help: 'multiaddrs of rendezvous nodes, each with `/p2p/…`, through which members find each other; default: those of `bootstrap/peers.json`, empty = none' },
  { key: 'mdns', kind: 'flag', default: 'on', help: 'find members on the local network by multicast, once the node is in a realm' },
  { key: 'subscribe', kind: 'text', default: 'mirror', help: 'what is kept here: `mirror` = everything, `repos:alice,tf-*` = those repositories, `cache` = what was asked for, up to the quota' },
  { key: 'quota', kind: 'size', default: '0', help: 'bytes of chunks kept of repositories that are not subscribed, least recently used out first; `0` = no bound' },
  { key: 'rate-up', kind: 'size', default: '0', help: 'bytes a second to peers at most; `0` = no bound' },
  { key: 'rate-down', kind: 'size', default: '0', help: 'bytes a second from peers at most; `0` = no bound' },
  { key: 'public-url', kind: 'url', help: 'how clients reach the API, e.g. `https://hub.farm.example`' },
  { key: 'public-chunks', kind: 'text', help: 'how nodes reach the chunk port, e.g. `zdb://hub.farm.example:9900`; default: the host of public-url with the chunk port' },
  { key: 'flist-backend', kind: 'choice', choices: ['auto', 'local', 'keep'], default: 'auto', help: 'which chunk address served flists carry: `auto` adds ours where there is none, `local` always ours, `keep` never touches' },
  { key: 'auth', kind: 'flag', default: 'on', help: '`off` = everybody is Administrator; refused unless HTTP listens on loopback' },
  { key: 'readonly', kind: 'flag', default: 'off', help: 'refuse client writes over HTTP and the chunk port' },
  { key: 'token-ttl', kind: 'duration', help: 'life of a token, `0` = for ever; default 30d, or 0 when 3bot-seed is set' },
  { key: '3bot-seed', kind: 'secret', help: 'Ed25519 seed of 3bot tokens, 32 bytes as 64 hex digits or base64; default: the node makes its own' },
  { key: '3bot-key', kind: 'secret', help: 'X25519 key of 3Bot login, 32 bytes as base64 or 64 hex digits; default: the node makes its own' },
  { key: '3bot-appid', kind: 'text', help: 'the name that the 3Bot login server knows this hub by; default: the host of public-url' },
  { key: '3bot-login-url', kind: 'url', default: 'https://login.threefold.me', help: '3Bot login server; empty = no sign-in by 3Bot' },
  { key: 'jwt-keys', kind: 'list', help: 'PEM files of the public keys whose JSON web tokens sign in; each key signs with the one algorithm of its curve' },
  { key: 'jwt-allow-no-exp', kind: 'flag', default: 'off', help: 'take JSON web tokens that never expire' },
  { key: 'guest-token', kind: 'secret', help: 'a token that signs in as `guest`' },
  { key: 'users-map', kind: 'list', help: 'virtual users: `official-apps=tfofficial.3bot,…`' },
  { key: 'official', kind: 'list', help: 'repositories listed as official' },
  { key: 'registries', kind: 'list', default: 'docker.io,ghcr.io,quay.io', help: 'registries that docker images are fetched from: `NAME[=URL][+private]`, e.g. `docker.io=http://mirror.lan:5000+private`; without `+private` never at a private address; `*` = any on the internet; empty = none' },
  { key: 'registry-auth', kind: 'secret', help: 'credentials for registries: `ghcr.io=user:password,…`' },
  { key: 'registry-config', kind: 'path', help: 'a docker `config.json` whose `auths` are credentials for registries' },
  { key: 'platform', kind: 'text', default: 'linux/amd64', help: 'which of an image of several platforms is taken, unless a conversion says so' },
  { key: 'log', kind: 'choice', choices: ['error', 'warn', 'info', 'debug'], default: 'info', help: 'what goes to stderr' },
  { key: 'log-format', kind: 'choice', choices: ['text', 'json'], default: 'text', help: 'lines for people or for collectors' },
  { key: 'trusted-proxies', kind: 'list', help: 'addresses whose X-Forwarded-For is believed' },
  { key: 'max-upload', kind: 'size', default: '4GiB', help: 'largest archive, as sent' },
  { key: 'max-plain', kind: 'size', default: '20GiB', help: 'largest archive, unpacked' },
  { key: 'max-ratio', kind: 'count', default: '200', help: 'largest unpacked : packed after 64 MiB; holes and zero blocks do not count' },
  { key: 'max-entries', kind: 'count', default: '1000000', help: 'most members of an archive' },
  { key: 'max-depth', kind: 'count', default: '64', help: 'deepest path of an archive' },
  { key: 'max-flist', kind: 'size', default: '256MiB', help: 'largest flist taken by upload-flist' },
  { key: 'spill-entries', kind: 'count', default: '200000', help: 'members kept in memory while an archive is read; more go to the index database' },
  { key: 'uploads', kind: 'count', default: '2', help: 'archives taken at once; more wait' },
  { key: 'min-free', kind: 'size', default: '1GiB', help: 'free disk space below which nothing is stored (507)' },
  { key: 'chunk-cache', kind: 'size', default: '64MiB', help: 'memory for hot chunks on the chunk port' },
  { key: 'flist-cache', kind: 'size', default: '64MiB', help: 'memory for served flists, lists and dumps' },
  { key: 'gc-every', kind: 'duration', default: '24h', help: 'how often unreferenced chunks are collected; `0` = only by `zhub gc`' },
  { key: 'gc-grace', kind: 'duration', default: '24h', help: 'how long an unreferenced chunk is kept' },
  { key: 'keep-versions', kind: 'count', default: '10', help: 'versions of a name whose chunks are kept' },
  { key: 'keep-for', kind: 'duration', default: '90d', help: 'how long older versions are kept beyond that' },
  { key: 'scrub', kind: 'count', default: '1', help: 'per cent of all chunks read and checked a day; `0` = none' },
] as const satisfies readonly Setting[]

export type SettingKey = (typeof SETTINGS)[number]['key']
