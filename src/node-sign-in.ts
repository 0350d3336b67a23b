import { hkdfSync } from 'node:crypto'
import type { Config } from './config.ts'
import type { HttpDeps } from './http/deps.ts'
import { loginServer } from './http/auth-login-server.ts'
import { JwtVerifier } from './repo/jwt.ts'
import { LoginKeys } from './repo/login-keys.ts'
import { ThreeBotLogin } from './repo/three-bot-login.ts'
import type { RowStore } from './store/row-store.ts'

export interface SignInParts {
  readonly rows: RowStore
  readonly clock: () => number
  /** The node's own secret: the key of 3Bot login is derived from it, unless one is set. */
  readonly tokenSeed: Uint8Array
  readonly publicUrl: string
}

/** The ways to sign in besides tokens. */
export function createSignIn(
  config: Config,
  { rows, clock, tokenSeed, publicUrl }: SignInParts,
): Pick<HttpDeps, 'jwts' | 'threeBot'> {
  const { jwtKeys, jwtAllowNoExpiry, threebotLoginUrl: loginUrl, threebotAppId } = config
  const jwts = new JwtVerifier({ keys: jwtKeys, allowNoExpiry: jwtAllowNoExpiry, clock })
  if (loginUrl === undefined) return { jwts }
  const privateKey =
    config.threebotKey ?? new Uint8Array(hkdfSync('sha256', tokenSeed, '', 'zhub 3bot login', 32))
  const appId = threebotAppId ?? new URL(publicUrl).host
  const keys = new LoginKeys(rows, clock)
  return { jwts, threeBot: new ThreeBotLogin({ privateKey, appId, loginUrl }, keys, loginServer(loginUrl)) }
}
