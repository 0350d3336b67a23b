/** The settings of each recorded profile (hub-departures.md, Replaying), and where one run of the original ended. */
import { resolve } from 'node:path'
import type { Profile, RecordedCase } from './recorded.ts'

const EVERYWHERE = {
  ZHUB_HTTP: '127.0.0.1:0',
  ZHUB_RESP: '127.0.0.1:0',
  ZHUB_MIN_FREE: '0',
  ZHUB_TOKEN_TTL: '0',
  ZHUB_PUBLIC_CHUNKS: 'zdb://hub.example.test:9900',
  ZHUB_PUBLIC_URL: 'http://hub.example.test',
  ZHUB_GC_EVERY: '0',
  ZHUB_SCRUB: '0',
} as const

const WITH_USERS = {
  ...EVERYWHERE,
  ZHUB_3BOT_SEED: Buffer.from('0123456789abcdef0123456789abcdef').toString('hex'),
  ZHUB_GUEST_TOKEN: 'guest.token.with.dots',
  ZHUB_USERS_MAP: 'official-apps=tfofficial.3bot',
  ZHUB_OFFICIAL: 'official-apps',
  ZHUB_JWT_ALLOW_NO_EXP: '1',
  ZHUB_JWT_KEYS: resolve('../shared/golden/hub/jwt-test-public.pem'),
} as const

export const SETTINGS_OF: Readonly<Record<Profile, Readonly<Record<string, string>>>> = {
  noauth: { ...EVERYWHERE, ZHUB_AUTH: 'off' },
  debug: { ...EVERYWHERE, ZHUB_AUTH: 'off' },
  auth: WITH_USERS,
  readonly: { ...WITH_USERS, ZHUB_READONLY: 'on' },
  nodot: { ...WITH_USERS, ZHUB_GUEST_TOKEN: 'no5rjrsFpgXVxCd6bzicvyI7YmvhuTIs' },
}

/** No disk has that much: nothing can be stored, as with the original's store down. */
const STORE_DOWN = { ZHUB_MIN_FREE: '8000TiB' } as const

/** Cases that share a node: its data folder, and its settings. */
export interface Session {
  /** Data folders by name: what one session of a world leaves, the next one finds. */
  readonly world: 'noauth' | 'auth' | 'debug'
  readonly settings: Readonly<Record<string, string>>
  readonly isStoreDown: boolean
  readonly cases: RecordedCase[]
}

const WORLD_OF: Readonly<Record<Profile, Session['world']>> = {
  noauth: 'noauth',
  debug: 'debug',
  auth: 'auth',
  readonly: 'auth',
  nodot: 'auth',
}

/** Cases in their order, cut where the recording restarted the original. */
export function sessionsOf(cases: readonly RecordedCase[]): Session[] {
  const sessions: Array<Session & { profile: Profile }> = []
  for (const one of cases) {
    const isStoreDown = one.id.startsWith('nobackend-')
    const last = sessions.at(-1)
    if (last !== undefined && last.profile === one.profile && last.isStoreDown === isStoreDown) {
      last.cases.push(one)
      continue
    }
    const settings = { ...SETTINGS_OF[one.profile], ...(isStoreDown ? STORE_DOWN : {}) }
    sessions.push({ profile: one.profile, world: WORLD_OF[one.profile], settings, isStoreDown, cases: [one] })
  }
  return sessions
}
