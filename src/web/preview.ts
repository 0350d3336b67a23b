/** A flist, as a person looks at it: where it is, what is in it, what it says of itself, how to mount it. */
import { html, type Child, type Html } from './html.ts'
import { copyable, page, problemBox } from './page.ts'
import { pager, type Window } from './pager.ts'
import { counted, name, pathOf, sizeText, time, withQuery } from './words.ts'

export type FileKind = 'directory' | 'file' | 'link' | 'socket' | 'block' | 'char' | 'fifo' | 'unknown'

/** One entry of a directory. */
export interface FileRow {
  /** Its last segment; bytes that are no UTF-8 as U+FFFD. */
  readonly name: string
  /** Where it is in the image, as the query names it: `path`, or `path64` for what is no UTF-8. */
  readonly at: Readonly<Record<string, string>>
  readonly kind: FileKind
  readonly sizeBytes: number
  /** 0…07777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Unix seconds. */
  readonly modifiedS: number
  /** Of a symbolic link. */
  readonly target?: string | undefined
}

export interface Folder extends Window {
  readonly rows: readonly FileRow[]
  /** From the root down to this directory, each with its own address. */
  readonly trail: ReadonlyArray<Pick<FileRow, 'name' | 'at'>>
}

export interface Counts {
  readonly regular: number
  readonly symlink: number
  readonly directory: number
  readonly special: number
  readonly fullSize: number
}

/** A version that lost against the one that everybody reads. */
export interface OtherVersion {
  /** The name that fetches it. */
  readonly name: string
  readonly author: string
  /** Unix seconds. */
  readonly timeS: number
  readonly sizeBytes: number
}

export interface Preview {
  readonly repository: string
  readonly name: string
  /** Where clients fetch it. */
  readonly url: string
  /** What clients get; absent where a link leads nowhere. */
  readonly served?: { readonly md5: string; readonly sizeBytes: number } | undefined
  /** Unix seconds. */
  readonly updatedS: number
  /** Where a link leads, as a path of ours. */
  readonly linkTarget?: readonly string[] | undefined
  /** Where its chunks are read: `host:port`. */
  readonly chunks?: string | undefined
  /** Other versions that were written at the same time. */
  readonly conflicts: number
  /** Those of them that can be fetched. */
  readonly others?: readonly OtherVersion[] | undefined
  /** Some of its chunks are on other nodes only. */
  readonly isPartial?: boolean | undefined
  /** Absent, with `problem`, when it does not read. */
  readonly content?:
    | {
        readonly counts: Counts
        /** Key and text, in order; without the readme. */
        readonly metadata: ReadonlyArray<readonly [key: string, text: string]>
        readonly readme?: string | undefined
        readonly folder: Folder
      }
    | undefined
  readonly problem?: string | undefined
}

/** Longer texts are cut, and further rows left out: the metadata route has them whole. In characters. */
const MAX_README = 64 * 1024
const MAX_VALUE = 4 * 1024
const MAX_TARGET = 512
const MAX_ROWS = 100

export function previewPage(preview: Preview): string {
  const { repository, content } = preview
  return page({
    title: `${repository}/${preview.name}`,
    body: html`<p class="trail"><a href="${pathOf(repository)}">${name(repository)}</a> /</p>
      <h1>${name(preview.name)}</h1>
      ${preview.conflicts > 0 && conflictNote(preview)} ${preview.isPartial === true && partialNote()}
      ${facts(preview)} ${problemBox(preview.problem)} ${preview.served !== undefined && mountHelp(preview)}
      ${
        content?.readme !== undefined &&
        html`<section>
          <h2>Readme</h2>
          <pre class="readme">${cut(content.readme, MAX_README)}</pre>
        </section>`
      }
      ${content !== undefined && [contents(preview, content), metadataTable(preview, content.metadata)]}`,
  })
}

function conflictNote(preview: Preview): Html {
  const { conflicts } = preview
  return html`<p class="problem" role="note">
      ${counted(conflicts, 'other version')} of this name ${conflicts === 1 ? 'was' : 'were'} written at the
      same time, and nobody has chosen one yet. This is the version that everybody reads.
    </p>
    ${othersTable(preview)}`
}

function othersTable({ repository, others = [] }: Preview): Child {
  if (others.length === 0) return undefined
  const lines = others.map(
    (other) =>
      html`<tr>
        <th scope="row"><a href="${pathOf(repository, other.name)}" download>${name(other.name)}</a></th>
        <td>${name(other.author)}</td>
        <td class="number">${sizeText(other.sizeBytes)}</td>
        <td>${time(other.timeS)}</td>
      </tr> `,
  )
  return html`<div class="wide">
    <table>
      <thead>
        <tr>
          <th scope="col">Other version</th>
          <th scope="col">By</th>
          <th scope="col" class="number">Size</th>
          <th scope="col">Written (UTC)</th>
        </tr>
      </thead>
      <tbody>
        ${lines}
      </tbody>
    </table>
  </div>`
}

function partialNote(): Html {
  return html`<p class="note" role="note">
    Not all of it is on this node yet: what is missing comes from the other nodes when it is read.
  </p>`
}

function facts(preview: Preview): Html {
  const { served, linkTarget, chunks } = preview
  const link =
    linkTarget &&
    html`<dt>Leads to</dt>
      <dd>${name(linkTarget.join('/'))}</dd>`
  const digest =
    served &&
    html`<dt>MD5</dt>
      <dd>${copyable(served.md5)}</dd>`
  const size =
    served &&
    html`<dt>Size</dt>
      <dd>
        ${sizeText(served.sizeBytes)}
        <a class="button" href="${pathOf(preview.repository, preview.name)}" download>Download</a>
      </dd>`
  return html`<dl class="facts">
    <dt>URL</dt>
    <dd>${copyable(preview.url)}</dd>
    ${digest} ${link} ${size}
    <dt>Updated</dt>
    <dd>${time(preview.updatedS)} UTC</dd>
    ${
      chunks !== undefined &&
      html`<dt>Chunks</dt>
        <dd><code>zdb://${chunks}</code></dd>`
    }
  </dl>`
}

function mountHelp({ repository, url, chunks, name: file }: Preview): Html {
  const storage = chunks === undefined ? '' : `--storage-url zdb://${chunks} `
  const local = /^[\w.-]+$/.test(file) && !file.startsWith('-') ? file : 'image.flist'
  return html`<section>
    <h2>Use it</h2>
    <p>A Zero-OS machine takes the URL above as it is; add the MD5 to pin this version. By hand:</p>
    <pre data-copy>
curl -fo ${local} '${url.replaceAll("'", '%27')}'
g8ufs ${storage}--ro --cache cache --meta ${local} mountpoint</pre>
    <p>
      To change it, give it to <code>zflist open ${local}</code>; to start from several,
      <a href="${withQuery('/merge', { source: `${repository}/${file}` })}">merge it with others</a>.
    </p>
  </section>`
}

function contents(preview: Preview, { counts, folder }: NonNullable<Preview['content']>): Html {
  const path = pathOf(preview.repository, `${preview.name}.md`)
  const crumbs = folder.trail.map(({ name: text, at }, index) => {
    const label = index === 0 ? 'root' : name(text)
    return index === folder.trail.length - 1
      ? html`<li aria-current="location">${label}</li>`
      : html`<li><a href="${withQuery(path, at)}#contents">${label}</a></li>`
  })
  const at = folder.trail.at(-1)?.at ?? {}
  return html`<section id="contents">
    <h2>Contents</h2>
    <p>
      ${counted(counts.regular, 'file')}, ${counted(counts.directory, 'directory', 'directories')},
      ${counted(counts.symlink, 'link')}, ${counted(counts.special, 'special file')};
      ${sizeText(counts.fullSize)} in all.
    </p>
    <nav aria-label="Directory">
      <ol class="crumbs">
        ${crumbs}
      </ol>
    </nav>
    ${folder.rows.length === 0 ? html`<p class="empty">Nothing in this directory.</p>` : fileTable(preview, path, folder.rows)}
    ${pager(path, at, folder)}
  </section>`
}

function fileTable(preview: Preview, path: string, rows: readonly FileRow[]): Html {
  const file = pathOf('api', 'v1', 'file', preview.repository, preview.name)
  const lines = rows.map((row) => {
    const label = name(row.name)
    const shown =
      row.kind === 'directory'
        ? html`<a href="${withQuery(path, row.at)}#contents">${label}/</a>`
        : row.kind === 'file'
          ? html`<a href="${withQuery(file, row.at)}" download="${row.name}">${label}</a>`
          : label
    const target =
      row.target !== undefined && html` <span class="target">→ ${name(cut(row.target, MAX_TARGET))}</span>`
    return html`<tr>
      <th scope="row">${shown}${target}</th>
      <td>${KINDS[row.kind]}</td>
      <td class="number">${row.kind === 'file' && sizeText(row.sizeBytes)}</td>
      <td><code>${modeText(row.mode)}</code></td>
      <td class="number">${row.uid}:${row.gid}</td>
      <td>${time(row.modifiedS)}</td>
    </tr> `
  })
  return html`<div class="wide">
    <table>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Type</th>
          <th scope="col" class="number">Size</th>
          <th scope="col">Mode</th>
          <th scope="col" class="number">Owner</th>
          <th scope="col">Modified (UTC)</th>
        </tr>
      </thead>
      <tbody>
        ${lines}
      </tbody>
    </table>
  </div>`
}

const KINDS: Readonly<Record<FileKind, string>> = {
  directory: 'directory',
  file: 'file',
  link: 'link',
  socket: 'socket',
  block: 'block device',
  char: 'character device',
  fifo: 'pipe',
  unknown: 'unknown',
}

/** `0755`, as chmod takes it. */
function modeText(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

function metadataTable(preview: Preview, rows: ReadonlyArray<readonly [string, string]>): Child {
  if (rows.length === 0) return undefined
  const lines = rows.slice(0, MAX_ROWS).map(
    ([key, text]) =>
      html`<tr>
        <th scope="row">${name(key)}</th>
        <td><pre>${cut(text, MAX_VALUE)}</pre></td>
      </tr> `,
  )
  const all = pathOf('api', 'flist', preview.repository, preview.name, 'metadata')
  return html`<section>
    <h2>Metadata</h2>
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th scope="col">Key</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>
          ${lines}
        </tbody>
      </table>
    </div>
    <p><a href="${all}">${rows.length > MAX_ROWS ? `All ${rows.length} as JSON` : 'As JSON'}</a></p>
  </section>`
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}… (cut: ${counted(text.length, 'character')})`
}
