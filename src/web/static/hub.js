// What the pages do beyond plain HTML. Text from anywhere goes in as text, never as markup of ours.
'use strict'

const session = fetch('/api/v1/session')
  .then((response) => (response.ok ? response.json() : {}))
  .catch(() => ({}))

const NO_ANSWER = 'The hub did not answer. Is the connection up?'

function element(name, text, attributes = {}) {
  const made = document.createElement(name)
  made.textContent = text
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}

async function showVisitor() {
  const { username, csrf } = await session
  if (typeof username !== 'string') return
  const place = document.getElementById('visitor')
  const link = element('a', username, { href: `/${encodeURIComponent(username)}` })
  place.replaceChildren(link)
  if (csrf) place.append(' ', element('a', 'Sign out', { href: '/logout' }))
}

/** What a session's mutation must carry; nothing where sign-in is off. */
async function csrfHeader() {
  const { csrf } = await session
  return csrf ? { 'X-CSRF-Token': csrf } : {}
}

function addCopyButtons(root) {
  for (const value of root.querySelectorAll('[data-copy]')) {
    const button = element('button', 'Copy', { type: 'button', class: 'copy' })
    button.addEventListener('click', () => {
      void copy(value).then((done) => {
        button.textContent = done ? 'Copied' : 'Selected'
        setTimeout(() => (button.textContent = 'Copy'), 2000)
      })
    })
    value.after(' ', button)
  }
}

/** To the clipboard; where the browser does not give it (plain http), selected and copied the old way. */
async function copy(value) {
  try {
    await navigator.clipboard.writeText(value.textContent)
    return true
  } catch {
    getSelection().selectAllChildren(value)
    return document.execCommand('copy')
  }
}

function addMoreButtons(root) {
  for (const list of root.querySelectorAll('[data-more]')) {
    const button = element('button', list.dataset.more, { type: 'button' })
    button.addEventListener('click', () => {
      const item = list.lastElementChild.cloneNode(true)
      const input = item.querySelector('input')
      input.value = ''
      list.append(item)
      input.focus()
    })
    list.after(button)
  }
}

function showProblem(text) {
  const main = document.getElementById('main')
  for (const old of main.querySelectorAll('.problem[role=alert], .done')) old.remove()
  main.querySelector('h1').after(element('p', text, { class: 'problem', role: 'alert' }))
}

/** Progress of something, shown below its form. */
class Job {
  #box = document.querySelector('.job')
  #bar = this.#box.querySelector('progress')
  #words = this.#box.querySelector('[role=status]')

  begin(words) {
    for (const old of document.querySelectorAll('main .problem[role=alert], main .done')) old.remove()
    this.#box.hidden = false
    this.tell(words, 0)
  }

  tell(words, percent) {
    if (this.#words.textContent !== words) this.#words.textContent = words
    if (percent === undefined) this.#bar.removeAttribute('value')
    else this.#bar.value = percent
  }

  fail(words) {
    this.#box.hidden = true
    showProblem(words)
  }

  /** Follows the events of a job of the hub to its end. */
  listen(id) {
    return new Promise((resolve) => {
      const events = new EventSource(`/listen/${encodeURIComponent(id)}`)
      const end = (show) => {
        events.close()
        show()
        resolve()
      }
      events.onmessage = ({ data }) => {
        const event = JSON.parse(data)
        if (event.status === 'update') this.tell(event.message, event.progress)
        else if (event.status === 'error') end(() => this.fail(event.message))
        else if (event.status === 'info') end(() => void this.#done(event.info))
      }
      events.onerror = () =>
        end(() => this.fail('The connection to the hub broke off. The job may still go on.'))
    })
  }

  /** `info`: of an upload `{filename, flist}`, of a conversion `{file, flist}`. */
  async #done({ filename, file, flist }) {
    const published = filename ?? file
    const { username } = await session
    const done = element('p', 'Published as ', { class: 'done', role: 'status' })
    const path = [username, `${published}.md`].map(encodeURIComponent).join('/')
    const label = `${username}/${published}`
    done.append(element('a', label, { href: `/${path}` }))
    if (typeof flist?.regular === 'number') done.append(`: ${flist.regular.toLocaleString('en')} files.`)
    this.tell('Done', 100)
    this.#box.after(done)
  }
}

/** What an answer says: the message of an envelope, or that of a page. */
function problemOf(status, text) {
  try {
    const { message } = JSON.parse(text)
    if (typeof message === 'string') return message
  } catch {
    // no envelope
  }
  return status === 0 ? NO_ANSWER : `The hub answered with an error (${status}).`
}

/** Sends an archive, tells how much of it is through, then how its job goes on. */
async function upload(form) {
  const job = new Job()
  job.begin('Uploading')
  const headers = await csrfHeader()
  const request = new XMLHttpRequest()
  request.open('POST', form.getAttribute('action'))
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
  request.upload.onprogress = ({ lengthComputable, loaded, total }) => {
    const percent = lengthComputable && total > 0 ? Math.floor((loaded / total) * 100) : undefined
    if (percent === 100) job.tell('Uploaded, being read', undefined)
    else job.tell(percent === undefined ? 'Uploading' : `Uploading: ${percent} %`, percent)
  }
  const answered = new Promise((resolve) => (request.onloadend = resolve))
  request.send(new FormData(form))
  await answered
  const { jobid, status } = answerOf(request.responseText)
  if (request.status !== 200 || status !== 'success' || typeof jobid !== 'string') {
    if (request.responseURL.includes('/login-method')) return void location.assign('/login-method')
    return job.fail(problemOf(request.status, request.responseText))
  }
  await job.listen(jobid)
}

function answerOf(text) {
  try {
    return JSON.parse(text) ?? {}
  } catch {
    return {}
  }
}

/** Sends a form whose answer is a page, and shows that page's content in place of this one's. */
async function sendForPage(form) {
  const isMultipart = form.enctype === 'multipart/form-data'
  const data = new FormData(form)
  const filled = () => [...data].filter(([key, value]) => !key.endsWith('[]') || value !== '')
  const body = isMultipart ? data : new URLSearchParams(filled())
  const headers = { Accept: 'text/html', ...(await csrfHeader()) }
  const response = await fetch(form.getAttribute('action'), { method: 'POST', headers, body }).catch(
    () => undefined,
  )
  if (response === undefined) return showProblem(NO_ANSWER)
  if (response.redirected) return void location.assign(response.url)
  const text = await response.text()
  const parsed = new DOMParser().parseFromString(text, 'text/html').getElementById('main')
  if (parsed === null) return showProblem(problemOf(response.status, text))
  const problem = parsed.querySelector('.problem[role=alert]')?.textContent
  if (!response.ok) return showProblem(problem ?? problemOf(response.status, text))
  const main = document.getElementById('main')
  main.replaceChildren(...parsed.childNodes)
  prepare(main)
  main.focus()
}

const SENDERS = { upload, page: sendForPage }

function addSenders(root) {
  for (const form of root.querySelectorAll('form[data-send]')) {
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      const button = form.querySelector('button:not([type=button])')
      button.disabled = true
      const sent = SENDERS[form.dataset.send](form).catch(() => showProblem(NO_ANSWER))
      void sent.finally(() => (button.disabled = false))
    })
  }
}

function followJobs(root) {
  const id = root.querySelector('.job')?.dataset.job
  if (!id) return
  const job = new Job()
  job.begin('Waiting')
  void job.listen(id)
}

function prepare(root) {
  addCopyButtons(root)
  addMoreButtons(root)
  addSenders(root)
  followJobs(root)
}

void showVisitor()
prepare(document)
