import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { html } from '../../src/web/html.ts'

const ENTITIES: Readonly<Record<string, string>> = { 38: '&', 60: '<', 62: '>', 34: '"', 39: "'", 96: '`' }

/** What a parser of HTML makes of character references. */
function unescaped(text: string): string {
  return text.replace(
    /&#(\d+);/g,
    (_, code: string) => ENTITIES[code] ?? assert.fail(`unknown entity ${code}`),
  )
}

const anyText = fc.string({ unit: 'binary', maxLength: 60 })
const hostile = fc
  .array(
    fc.constantFrom('<script>', '"', "'", '`', '&', '&lt;', '-->', ']]>', '</pre>', '\0', ' onload=', 'é'),
    {
      maxLength: 8,
    },
  )
  .map((parts) => parts.join(''))

describe('html', () => {
  it('lets no text out of its place, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, hostile), (text) => {
        const made = html`${text}`.toString()
        assert.doesNotMatch(made, /[<>"'`]|&(?!#\d+;)/)
      }),
    )
  })

  it('shows a text as it is, but for control characters', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, hostile), (text) => {
        const shown = text.replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/g, '\ufffd')
        assert.equal(unescaped(html`${text}`.toString()), shown)
      }),
    )
  })

  it('keeps what a template made, also in arrays, and leaves out what is not there', () => {
    const items = ['a', '<b>'].map((text) => html`<li>${text}</li>`)
    assert.equal(
      html`<i id="${'"x'}">${items}</i>`.toString(),
      '<i id="&#34;x"><li>a</li><li>&#60;b&#62;</li></i>',
    )
    assert.equal(html`${undefined}${false}${0}${''}`.toString(), '0')
  })

  it('takes no object for markup that only looks like it', () => {
    const forged = { toString: () => '<script>' } as never
    assert.throws(() => html`${forged}`)
  })
})
