/** HTML as a value: what a template is given is escaped, always, unless a template made it. */

/** Markup that a template of ours made; nothing else can make it. */
export class Html {
  readonly #text: string

  private constructor(text: string) {
    this.#text = text
  }

  /** The one way in: literals of our source as they are, everything between them escaped. */
  static join(literals: readonly string[], children: readonly Child[]): Html {
    const parts = literals.map((literal, at) => literal + (at < children.length ? textOf(children[at]) : ''))
    return new Html(parts.join(''))
  }

  toString(): string {
    return this.#text
  }
}

/** What may stand in a template. `undefined` and `false` are nothing, an array is its members. */
export type Child = Html | string | number | undefined | false | readonly Child[]

/** Stands for text and for quoted attributes alike; never within a tag's name, a script or a style. */
export function html(literals: TemplateStringsArray, ...children: readonly Child[]): Html {
  return Html.join(literals, children)
}

function textOf(child: Child): string {
  if (child === undefined || child === false) return ''
  if (child instanceof Html) return child.toString()
  if (typeof child === 'object') return child.map(textOf).join('')
  return escape(String(child))
}

/** Control characters but tab and line ends are no HTML. */
const UNSAFE = /[&<>"'`\0-\x08\x0b\x0c\x0e-\x1f\x7f]/g

function escape(text: string): string {
  return text.replace(UNSAFE, (one) => (one < ' ' || one === '\x7f' ? '\ufffd' : `&#${one.charCodeAt(0)};`))
}
