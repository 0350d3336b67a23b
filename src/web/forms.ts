/** The pages where something is made: upload, upload of a flist, merge, docker. */
import { html, type Child, type Html } from './html.ts'
import { page, problemBox, type Place } from './page.ts'
import { counted, name, pathOf, sizeText } from './words.ts'
import type { Counts } from './preview.ts'

/** What was published. */
export interface Made {
  readonly repository: string
  readonly name: string
  readonly counts?: Counts | undefined
}

/** How the last try ended, on the page of its form. */
export interface Outcome {
  readonly problem?: string | undefined
  readonly made?: Made | undefined
}

export function uploadPage(): string {
  return formPage('/upload', 'Upload an archive', {}, [
    html`<p class="lead">
        A root filesystem as an archive becomes a flist of the same name: <code>.tar.gz</code>,
        <code>.tgz</code>, <code>.tar</code> or <code>.tar.zst</code>. One that is there already is replaced.
      </p>
      <form method="post" action="/upload" enctype="multipart/form-data" data-send="upload">
        <p>
          <label for="file">Archive</label>
          <input id="file" name="file" type="file" required accept=".tar.gz,.tgz,.tar,.tar.zst,.gz,.zst" />
        </p>
        <p><button>Upload</button></p>
      </form>`,
    jobBox(undefined),
    NEEDS_SCRIPT,
  ])
}

export function uploadFlistPage(outcome: Outcome = {}): string {
  return formPage('/upload-flist', 'Upload a flist', outcome, [
    html`<p class="lead">
        A flist that exists already, when everything that is in its files is on this hub. It is kept as it is.
      </p>
      <form method="post" action="/upload-flist" enctype="multipart/form-data" data-send="page">
        <p>
          <label for="file">Flist</label> <input id="file" name="file" type="file" required accept=".flist" />
        </p>
        <p><button>Upload</button></p>
      </form>`,
  ])
}

export interface MergeValues {
  readonly sources?: readonly string[] | undefined
  readonly name?: string | undefined
}

const MERGE_FIELDS = 2

export function mergePage(values: MergeValues = {}, outcome: Outcome = {}): string {
  const { sources = [] } = values
  const fields = Array.from({ length: Math.max(MERGE_FIELDS, sources.length) }, (_, at) => {
    return html`<li>
      <label
        >Source
        <input
          name="flists[]"
          type="text"
          value="${sources[at]}"
          placeholder="repository/name.flist"
          autocomplete="off"
          spellcheck="false"
      /></label>
    </li> `
  })
  return formPage('/merge', 'Merge flists', outcome, [
    html`<p class="lead">
        Several flists as one. Where two have the same path, the first one wins; metadata come from the first
        alone.
      </p>
      <form method="post" action="/merge" data-send="page">
        <fieldset>
          <legend>Sources, in order</legend>
          <ol class="sources" data-more="Add a source">
            ${fields}
          </ol>
        </fieldset>
        <p>
          <label for="name">Name of the new flist</label>
          <input
            id="name"
            name="name"
            type="text"
            required
            value="${values.name}"
            autocomplete="off"
            spellcheck="false"
          />
        </p>
        <p><button>Merge</button></p>
      </form>`,
  ])
}

export interface DockerOutcome extends Outcome {
  /** The image that is being converted. */
  readonly image?: string | undefined
  readonly job?: string | undefined
}

export function dockerPage({ image, job, ...outcome }: DockerOutcome = {}): string {
  return formPage('/docker-convert', 'Convert a docker image', outcome, [
    html`<p class="lead">An image of a registry becomes a flist that boots as the container would.</p>
      <form method="post" action="/docker-convert" data-send="page">
        <p>
          <label for="image">Image</label>
          <input
            id="image"
            name="docker-input"
            type="text"
            required
            value="${image}"
            placeholder="library/nginx:latest"
            autocomplete="off"
            autocapitalize="none"
            spellcheck="false"
          />
        </p>
        <p><button>Convert</button></p>
      </form>`,
    jobBox(job),
    NEEDS_SCRIPT,
  ])
}

/** Where the script shows how far a job is. */
function jobBox(job: string | undefined): Html {
  return html`<section class="job" data-job="${job}" hidden>
    <h2>Progress</h2>
    <progress max="100" value="0" aria-label="Progress"></progress>
    <p role="status"></p>
  </section>`
}

const NEEDS_SCRIPT = html`<noscript
  ><p class="problem">
    This page shows progress with a script. Without one, use the API:
    <code>POST /api/flist/me/upload</code> or <code>/api/flist/me/docker</code> with a token.
  </p></noscript
>`

function formPage(place: Place, title: string, { problem, made }: Outcome, body: Child): string {
  return page({
    title,
    place,
    body: html`<h1>${title}</h1>
      ${problemBox(problem)} ${made !== undefined && madeBox(made)} ${body}`,
  })
}

function madeBox({ repository, name: file, counts }: Made): Html {
  const sum = counts && html` ${counted(counts.regular, 'file')}, ${sizeText(counts.fullSize)}.`
  return html`<p class="done" role="status">
    Published as <a href="${pathOf(repository, `${file}.md`)}">${name(`${repository}/${file}`)}</a>.${sum}
  </p>`
}
