/**
 * Replays the recorded cases of the original hub in their order, on nodes of our own with each profile's settings.
 * A case is matched (as recorded), departed (as recorded but for departures that apply), or
 * differing. Cases whose response was not recorded are sent for their effect, and
 * that effect is compared; they count apart.
 */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { differencesOf, expectedOf } from './comparison.ts'
import { depart, departureOn, type Situation } from './departures.ts'
import { eventDifferences } from './events.ts'
import { Model } from './model.ts'
import type { RawResponse } from './raw-http.ts'
import { openReplayNode, type ReplayNode } from './replay-node.ts'
import { postOutcomeOf, type PostOutcome } from './posts.ts'
import { sessionsOf, type Session } from './profiles.ts'
import { readCases, requestBody, type RecordedCase } from './recorded.ts'
import {
  changesBetween,
  EMPTY_STATE,
  parseTree,
  placeOf,
  type RecordedState,
  type StateChange,
} from './recorded-state.ts'
import { pushRecordedImages } from '../doubles/recorded-images.ts'
import { TestRegistry } from '../doubles/registry.ts'
import { actorOf } from './actor.ts'
import { isRefusedAtTheDoor, applyOutcome, expectedChange } from './changed-names.ts'
import { outcomeOf, sourceOf, type NameOutcome, type NameRequest } from './name-changes.ts'
import { askedOf, type Asked } from './route-of.ts'
import { Planter } from './planter.ts'
import { verdictOf, type Verdict } from './verdict.ts'

export type Outcome = 'matched' | 'departed' | 'differing' | 'unrecorded'

export interface CaseResult {
  readonly id: string
  readonly seq: number
  readonly outcome: Outcome
  /** Of hub-departures.md. */
  readonly departures: readonly number[]
  readonly differences: readonly string[]
}

/** `folder` is golden/hub. */
export async function replay(folder: string): Promise<CaseResult[]> {
  const data = await mkdtemp(join(tmpdir(), 'zhub-conformance-'))
  const models = new Map<Session['world'], Model>()
  const results: CaseResult[] = []
  const registry = await TestRegistry.start()
  pushRecordedImages(registry)
  const images = { ZHUB_REGISTRIES: `docker.io=${registry.url}+private` }
  try {
    const sessions = sessionsOf(readCases(folder))
    for (const session of sessions) {
      const model = models.get(session.world) ?? new Model()
      models.set(session.world, model)
      const ahead = sessions.filter(({ world }) => world === session.world).flatMap(({ cases }) => cases)
      const node = await openReplayNode(join(data, session.world), { ...session.settings, ...images })
      try {
        if (model.recorded === EMPTY_STATE)
          await node.plantChunksOf(join(folder, 'fixtures', 'homemade.tar.gz'))
        const run = new SessionRun(folder, session, ahead, model, node)
        for (const one of session.cases) results.push(await run.play(one))
      } finally {
        await node.stop()
      }
    }
  } finally {
    await registry.stop()
    await rm(data, { recursive: true, force: true })
  }
  return results
}

/** A job of this run, and what it told. */
interface Job {
  readonly id: string
  readonly departure: number | undefined
  events: string
}

const NO_JOB: Job = { id: '', departure: undefined, events: '' }

class SessionRun {
  readonly #folder: string
  readonly #session: Session
  readonly #model: Model
  readonly #node: ReplayNode
  readonly #planter: Planter
  readonly #jobs = new Map<string, Job>()
  #lastJob = NO_JOB
  /** Every case of this world, in order. */
  readonly #ahead: readonly RecordedCase[]

  constructor(
    folder: string,
    session: Session,
    ahead: readonly RecordedCase[],
    model: Model,
    node: ReplayNode,
  ) {
    this.#folder = folder
    this.#ahead = ahead
    this.#session = session
    this.#model = model
    this.#node = node
    const garbageBytes = readFileSync(join(folder, 'fixtures', 'garbage.flist')).length
    this.#planter = new Planter(node, model, garbageBytes)
  }

  async play(one: RecordedCase): Promise<CaseResult> {
    const asked = askedOf(one)
    const changes = this.#changesOf(one)
    if (asked.kind === 'events' && this.#isListening) return await this.#listen(one)
    if (asked.kind === 'post') return await this.#post(one, asked, changes)
    if (asked.kind === 'change') return await this.#change(one, asked.request, changes)
    return await this.#ask(one, asked, changes)
  }

  /** What reads, and uploads of the API. */
  async #ask(one: RecordedCase, asked: Asked, changes: readonly StateChange[]): Promise<CaseResult> {
    const { id, seq } = one
    const actor = actorOf(one)
    const body = requestBody(this.#folder, one)
    const { isStoreDown } = this.#session
    const verdict = verdictOf(asked, one, body, { isStoreDown, model: this.#model, actor })
    const own = ownChange(asked, one, verdict, changes)
    await this.#planter.plant(
      changes.filter((change) => change !== own),
      one.request.path,
    )
    const actual = await this.#node.send({ ...one.request, headers: nowHeaders(one), body })
    const recorded = expectedOf(one)
    const departed =
      recorded === undefined ? undefined : await depart(recorded, this.#situation(one, asked, verdict))
    this.#apply(one, verdict, own)

    const departures = departed?.numbers ?? []
    const differences = [
      ...(departed === undefined ? [] : differencesOf(departed.expected, actual)),
      ...this.#stateDifferences(),
    ]
    return { id, seq, outcome: outcomeFrom(one, departures, differences), departures, differences }
  }

  /** A route that changes names: what it does here is worked out on the model. */
  async #change(
    one: RecordedCase,
    request: NameRequest,
    changes: readonly StateChange[],
  ): Promise<CaseResult> {
    const { id, seq } = one
    const actor = actorOf(one)
    const own = changes.filter(({ key }) => placeOf(key).repository === actor)
    await this.#planter.plant(
      changes.filter((change) => !own.includes(change)),
      one.request.path,
    )
    const recorded = expectedOf(one)
    const isAdmitted = !isRefusedAtTheDoor(one, recorded)
    const source = departureOn(this.#model, sourceOf(request, actor))
    const outcome = withDeparture(outcomeOf(request, this.#model, actor), source)
    const actual = await this.#node.send({ ...one.request, headers: nowHeaders(one), body: Buffer.alloc(0) })
    if (isAdmitted) applyOutcome(this.#model, outcome, own)
    const { expected, numbers } = expectedChange(recorded, isAdmitted ? outcome : undefined)
    const stateDifferences = this.#stateDifferences()
    const answerDifferences = expected === undefined ? [] : differencesOf(expected, actual)
    const differences = [...answerDifferences, ...stateDifferences]
    const agreed = recorded === undefined ? 'unrecorded' : numbers.length > 0 ? 'departed' : 'matched'
    return {
      id,
      seq,
      outcome: differences.length > 0 ? 'differing' : agreed,
      departures: numbers,
      differences,
    }
  }

  /** What the job tells that the recording listened to: the last one that was begun. */
  async #listen(one: RecordedCase): Promise<CaseResult> {
    const { id, seq, request, response } = one
    const job = this.#jobs.get(request.path) ?? this.#lastJob
    this.#jobs.set(request.path, job)
    const actual = await this.#node.send({ ...request, path: `/listen/${job.id}`, body: Buffer.alloc(0) })
    const isLate = response?.status === 404 // 26: every reader gets all events
    const wanted = isLate ? job.events : response?.body?.text
    const fails = job.departure !== undefined
    const differences = wanted === undefined ? [] : eventDifferences(wanted, actual, fails && !isLate)
    job.events = actual.body.toString('utf8')
    const departures = [...(isLate ? [26] : []), ...(job.departure === undefined ? [] : [job.departure])]
    return { id, seq, outcome: outcomeFrom(one, departures, differences), departures, differences }
  }

  /** The id that an answer names a job by, in JSON or in a page. */
  #noteJob(actual: RawResponse, { departure, isMade }: PostOutcome): void {
    const id = /"jobid":"([0-9a-f-]{36})"|listen\/([0-9a-f-]{36})|data-job="([0-9a-f-]{36})"/.exec(
      actual.body.toString('utf8'),
    )
    const found = id?.slice(1).find((one) => one !== undefined)
    if (found !== undefined)
      this.#lastJob = { id: found, departure: isMade || departure === 10 ? undefined : departure, events: '' }
  }

  /** What is made of a request's body: as recorded, or as a departure says. */
  async #post(one: RecordedCase, asked: Asked, changes: readonly StateChange[]): Promise<CaseResult> {
    const { id, seq } = one
    const actor = actorOf(one)
    const body = requestBody(this.#folder, one)
    const { isStoreDown } = this.#session
    const outcome = postOutcomeOf(one, body, { model: this.#model, actor, isStoreDown })
    const others = changes.filter(({ key }) => key !== outcome.target)
    await this.#planter.plant(others, one.request.path)
    const actual = await this.#node.send({ ...one.request, headers: nowHeaders(one), body })
    this.#noteJob(actual, outcome)
    const own = changes.find(({ key }) => key === outcome.target)
    this.#applyPost(outcome, own)
    const recorded = expectedOf(one)
    const verdict: Verdict = { kind: 'as recorded' }
    const departed =
      recorded && (await depart(outcome.expected ?? recorded, this.#situation(one, asked, verdict)))
    const numbers = [
      ...(outcome.expected !== undefined && outcome.departure !== undefined ? [outcome.departure] : []),
      ...(departed?.numbers ?? []),
    ]
    const differences = [
      ...(departed === undefined ? [] : differencesOf(departed.expected, actual)),
      ...this.#stateDifferences(),
    ]
    const agreed = recorded === undefined ? 'unrecorded' : numbers.length > 0 ? 'departed' : 'matched'
    return {
      id,
      seq,
      outcome: differences.length > 0 ? 'differing' : agreed,
      departures: numbers,
      differences,
    }
  }

  #applyPost({ target, isMade, departure }: PostOutcome, own: StateChange | undefined): void {
    if (target === undefined) return
    const recorded = this.#model.recorded.things.get(target)
    if (isMade)
      return this.#model.put(
        target,
        { kind: 'file', sizeBytes: 0 },
        recorded?.kind === 'file' ? undefined : departure,
      )
    if (own !== undefined && departure !== undefined) this.#model.depart(target, departure)
  }

  get #isListening(): boolean {
    return this.#lastJob !== NO_JOB
  }

  #situation(one: RecordedCase, asked: Asked, verdict: Verdict): Situation {
    const node = this.#node
    return {
      ...{ one, asked, verdict, model: this.#model, actor: actorOf(one) },
      kindsIn: (repository, name) => node.kindsIn(repository, name),
      bytesIn: (repository, name) => node.bytesIn(repository, name),
      textIn: (repository, name, path) => node.textIn(repository, name, path),
    }
  }

  /**
   * From the state before to the one that the case shows. A case without one shows what the next one will show in
   * repositories that no request in between acts in: that was put by hand, and may be read from here on.
   */
  #changesOf(one: RecordedCase): StateChange[] {
    const { recorded } = this.#model
    const after = one.public_tree_after === undefined ? undefined : parseTree(one.public_tree_after)
    if (after !== undefined) {
      this.#model.recorded = after
      return changesBetween(recorded, after)
    }
    const { next, actors } = this.#next(one)
    if (next === undefined) return []
    const byHand = changesBetween(recorded, next).filter(({ key }) => !actors.has(placeOf(key).repository))
    this.#model.recorded = withChanges(recorded, next, byHand)
    return byHand
  }

  /** The next state that the world of this case shows, and who acts until then. */
  #next(one: RecordedCase): { next: RecordedState | undefined; actors: Set<string> } {
    const actors = new Set<string>()
    for (const later of this.#ahead.slice(this.#ahead.indexOf(one))) {
      actors.add(actorOf(later))
      if (later.public_tree_after !== undefined) return { next: parseTree(later.public_tree_after), actors }
    }
    return { next: undefined, actors }
  }

  #apply(one: RecordedCase, verdict: Verdict, own: StateChange | undefined): void {
    const model = this.#model
    const { fixture = '' } = one.request
    switch (verdict.kind) {
      case 'taken': {
        const key = `${actorOf(one)}/${verdict.name}`
        const isSame = model.fixtures.get(key) === fixture
        return model.put(key, { kind: 'file', sizeBytes: 0 }, isSame ? undefined : verdict.departure)
      }
      case 'link replaced':
        model.put(verdict.link, { kind: 'file', sizeBytes: 0 }, verdict.departure)
        return model.depart(verdict.target, verdict.departure)
      case 'refused':
        if (own !== undefined) model.depart(own.key, verdict.departure)
        return
      case 'as recorded':
        if (own?.after === undefined) return own === undefined ? undefined : model.remove(own.key)
        model.put(own.key, own.after)
        model.fixtures.set(own.key, fixture)
    }
  }

  /** Names that are here and should not be, and the other way round. */
  #stateDifferences(): string[] {
    const actual = this.#node.things()
    const expected = this.#model.expected
    const text = (thing: unknown) =>
      JSON.stringify(thing, (key, value: unknown) => (key === 'sizeBytes' ? 0 : value))
    return [...new Set([...expected.keys(), ...actual.keys()])]
      .filter((key) => text(expected.get(key)) !== text(actual.get(key)))
      .map((key) => `state: ${key}: expected ${text(expected.get(key))}, got ${text(actual.get(key))}`)
  }
}

function outcomeFrom(
  { response }: RecordedCase,
  departures: readonly number[],
  differences: readonly string[],
): Outcome {
  if (differences.length > 0) return 'differing'
  return response === null ? 'unrecorded' : departures.length > 0 ? 'departed' : 'matched'
}

/** The change that the request itself asks for; others were made by hand. */
function ownChange(
  asked: Asked,
  one: RecordedCase,
  verdict: Verdict,
  changes: readonly StateChange[],
): StateChange | undefined {
  const actor = actorOf(one)
  const inOwn = changes.filter(({ key }) => placeOf(key).repository === actor)
  if (asked.kind === 'delete') {
    const bare = `${actor}/${asked.name}`
    return inOwn.find(({ key, after }) => after === undefined && (key === bare || `${key}.flist` === bare))
  }
  if (asked.kind !== 'upload' && asked.kind !== 'upload-flist') return undefined
  if (verdict.kind === 'link replaced') return inOwn.find(({ key }) => key === verdict.target)
  const name = /"name": "([^"]+)"/.exec(one.response?.body?.text ?? '')?.[1]
  const files = inOwn.filter(({ after }) => after?.kind === 'file')
  return name === undefined ? files[0] : files.find(({ key }) => key === `${actor}/${name}`)
}

/** What is about a name that differs here already may differ for the same reason. */
function withDeparture(outcome: NameOutcome, number: number | undefined): NameOutcome {
  return outcome.departure === undefined && number !== undefined ? { ...outcome, departure: number } : outcome
}

/** A time of the recording that a request names is now: what it was compared with is as young. */
function nowHeaders({ request: { headers } }: RecordedCase): Readonly<Record<string, string>> {
  if (headers['If-Modified-Since'] === undefined) return headers
  return { ...headers, 'If-Modified-Since': new Date().toUTCString() }
}

function withChanges(
  state: RecordedState,
  next: RecordedState,
  changes: readonly StateChange[],
): RecordedState {
  const things = new Map(state.things)
  for (const { key, after } of changes) {
    if (after === undefined) things.delete(key)
    else things.set(key, after)
  }
  return { ...next, things }
}
