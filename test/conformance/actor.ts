/** Whose repository a recorded request acts in (hub-api.md §3). */
import type { RecordedCase } from './recorded.ts'

/** The name in its token, or the account or virtual user that it acts as; empty for nobody. */
export function actorOf({ profile, request: { headers } }: RecordedCase): string {
  if (profile === 'noauth' || profile === 'debug') return 'Administrator'
  const token = /^bearer (.*)$/i.exec(headers['Authorization'] ?? '')?.[1] ?? ''
  const active = /active-user=([^;]+)/.exec(headers['Cookie'] ?? '')?.[1]
  if (/^(?:guest|no5)/.test(token)) return 'guest'
  return token.includes('.') ? accountOf(token, active) : virtualUserOf(token, active)
}

function virtualUserOf(token: string, active: string | undefined): string {
  const payload = Buffer.from(token, 'base64url').subarray(64).toString()
  const user = /^\["([^"]+)"/.exec(payload)?.[1] ?? ''
  return user === 'tfofficial.3bot' && active === 'official-apps' ? 'official-apps' : user
}

/** Of a JSON web token. */
function accountOf(token: string, active: string | undefined): string {
  const { username = '', scope } = claimsOf(token)
  const scopes = Array.isArray(scope) ? (scope as string[]) : []
  return active !== undefined && scopes.some((one) => one.split(':')[2] === active) ? active : username
}

function claimsOf(token: string): { readonly username?: string; readonly scope?: unknown } {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object
  } catch {
    return {}
  }
}
