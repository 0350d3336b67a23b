/** As much of a browser as signing in needs: cookies kept by name, redirects not followed. */
export interface Page {
  readonly status: number
  readonly location: string | null
  readonly headers: Headers
  /** Whole lines of what was set. */
  readonly cookies: readonly string[]
  readonly text: string
}

export interface Visit {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | URLSearchParams
}

export class Browser {
  readonly #origin: string
  readonly cookies = new Map<string, string>()

  constructor(port: number) {
    this.#origin = `http://127.0.0.1:${port}`
  }

  async visit(path: string, { headers = {}, ...visit }: Visit = {}): Promise<Page> {
    const kept = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(this.#origin + path, {
      redirect: 'manual',
      headers: { ...(kept === '' ? {} : { Cookie: kept }), ...headers },
      ...visit,
    })
    const cookies = response.headers.getSetCookie()
    for (const cookie of cookies) this.#keep(cookie)
    const { status } = response
    const location = response.headers.get('location')
    return { status, location, headers: response.headers, cookies, text: await response.text() }
  }

  #keep(cookie: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
    if (/Max-Age=0/.test(cookie)) this.cookies.delete(name)
    else this.cookies.set(name, value)
  }
}
