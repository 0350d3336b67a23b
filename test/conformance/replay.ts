/**
 * Replays the recorded cases of the original hub in their order, on nodes of our own with each profile's settings.
 * A case is matched (as recorded), departed (as recorded but for departures that apply), differing, or later (a route
 * of a later part, whose effect is planted). Cases whose response was not recorded are sent for their effect, and that
 * effect is compared; they count apart.
 */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { differencesOf, expectedOf } from './comparison.ts'
import { depart } from './departures.ts'
import { Model } from './model.ts'
import { openReplayNode, type ReplayNode } from './replay-node.ts'
import { sessionsOf, type Session } from './profiles.ts'
import { readCases, requestBody, type RecordedCase } from './recorded.ts'
import { changesBetween, EMPTY_STATE, parseTree, type StateChange } from './recorded-state.ts'
import { askedOf, type Asked } from './route-of.ts'
import { Planter } from './planter.ts'
import { verdictOf, type Verdict } from './verdict.ts'

export type Outcome = 'matched' | 'departed' | 'differing' | 'later' | 'unrecorded'

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
  try {
    for (const session of sessionsOf(readCases(folder))) {
      const model = models.get(session.world) ?? new Model()
      models.set(session.world, model)
      const node = await openReplayNode(join(data, session.world), session.settings)
      try {
        if (model.recorded === EMPTY_STATE)
          await node.plantChunksOf(join(folder, 'fixtures', 'homemade.tar.gz'))
        const run = new SessionRun(folder, session, model, node)
        for (const one of session.cases) results.push(await run.play(one))
      } finally {
        await node.stop()
      }
    }
  } finally {
    await rm(data, { recursive: true, force: true })
  }
  return results
}

class SessionRun {
  readonly #folder: string
  readonly #session: Session
  readonly #model: Model
  readonly #node: ReplayNode
  readonly #planter: Planter

  constructor(folder: string, session: Session, model: Model, node: ReplayNode) {
    this.#folder = folder
    this.#session = session
    this.#model = model
    this.#node = node
    const garbageBytes = readFileSync(join(folder, 'fixtures', 'garbage.flist')).length
    this.#planter = new Planter(node, model, garbageBytes)
  }

  async play(one: RecordedCase): Promise<CaseResult> {
    const asked = askedOf(one)
    const { id, seq } = one
    if (asked.kind === 'later') {
      await this.#planter.plant(this.#changesOf(one), one.request.path)
      return { id, seq, outcome: 'later', departures: [], differences: await this.#stateDifferences() }
    }
    const body = requestBody(this.#folder, one)
    const verdict = verdictOf(asked, one, body, this.#session.isStoreDown)
    const changes = this.#changesOf(one)
    const isForeign = 'name' in asked && this.#readsForeign(asked, one)
    const own = ownChange(asked, one, changes)
    await this.#planter.plant(
      changes.filter((change) => change !== own),
      one.request.path,
    )

    const actual = await this.#node.send({ ...one.request, body })
    const recorded = expectedOf(one)
    const situation = {
      one,
      asked,
      verdict,
      model: this.#model,
      actor: actorOf(one),
      kindsIn: (repository: string, name: string) => this.#node.kindsIn(repository, name),
    }
    const departed = recorded === undefined ? undefined : await depart(recorded, situation)
    this.#apply(verdict, own, actorOf(one))
    const stateDifferences = await this.#stateDifferences()
    if (recorded === undefined || departed === undefined) {
      const outcome = stateDifferences.length > 0 ? 'differing' : 'unrecorded'
      return { id, seq, outcome, departures: [], differences: stateDifferences }
    }
    if (isForeign) return { id, seq, outcome: 'later', departures: [], differences: [] }
    const differences = [...differencesOf(departed.expected, actual), ...stateDifferences]
    const outcome =
      differences.length > 0 ? 'differing' : departed.numbers.length > 0 ? 'departed' : 'matched'
    return { id, seq, outcome, departures: departed.numbers, differences }
  }

  /** From the state before to the one that the case shows; without one, nothing changed. */
  #changesOf({ public_tree_after: tree }: RecordedCase): StateChange[] {
    if (tree === undefined) return []
    const after = parseTree(tree)
    const changes = changesBetween(this.#model.recorded, after)
    this.#model.recorded = after
    return changes
  }

  #apply(verdict: Verdict, own: StateChange | undefined, actor: string): void {
    if (verdict.kind === 'taken') {
      this.#model.put(`${actor}/${verdict.name}`, { kind: 'file', sizeBytes: 0 }, verdict.departure)
    }
    if (own === undefined) return
    if (verdict.kind === 'refused') this.#model.depart(own.key, verdict.departure)
    else if (own.after === undefined) this.#model.remove(own.key)
    else this.#model.put(own.key, own.after)
  }

  #readsForeign(asked: Extract<Asked, { name: string }>, one: RecordedCase): boolean {
    if (asked.kind === 'delete') return false
    const { repository = actorOf(one), name, tag } = asked
    const key = tag === undefined ? `${repository}/${name}` : `${repository}/.tag-${tag}/${name}`
    const final = this.#model.follow(this.#model.expected, key)
    return final !== undefined && this.#model.foreign.has(final)
  }

  /** Names that are here and should not be, and the other way round. */
  async #stateDifferences(): Promise<string[]> {
    const actual = this.#node.things()
    const expected = this.#model.expected
    const text = (thing: unknown) =>
      JSON.stringify(thing, (key, value: unknown) => (key === 'sizeBytes' ? 0 : value))
    return [...new Set([...expected.keys(), ...actual.keys()])]
      .filter((key) => text(expected.get(key)) !== text(actual.get(key)))
      .map((key) => `state: ${key}: expected ${text(expected.get(key))}, got ${text(actual.get(key))}`)
  }
}

/** The change that the request itself asks for; others were made by hand. */
function ownChange(
  asked: Asked,
  one: RecordedCase,
  changes: readonly StateChange[],
): StateChange | undefined {
  const inOwn = changes.filter(({ key }) => key.startsWith(`${actorOf(one)}/`))
  if (asked.kind === 'delete') {
    const bare = `${actorOf(one)}/${asked.name}`
    return inOwn.find(({ key, after }) => after === undefined && (key === bare || `${key}.flist` === bare))
  }
  if (asked.kind !== 'upload' && asked.kind !== 'upload-flist') return undefined
  const name = /"name": "([^"]+)"/.exec(one.response?.body?.text ?? '')?.[1]
  const files = inOwn.filter(({ after }) => after?.kind === 'file')
  return name === undefined ? files[0] : files.find(({ key }) => key === `${actorOf(one)}/${name}`)
}

/** Whose repository a request acts in: the name in its 3bot token, or the one that the users map gives for it. */
function actorOf({ profile, request }: RecordedCase): string {
  if (profile === 'noauth' || profile === 'debug') return 'Administrator'
  const token = /^bearer (.*)$/i.exec(request.headers['Authorization'] ?? '')?.[1] ?? ''
  if (/^(?:guest|no5)/.test(token)) return 'guest'
  const payload = Buffer.from(token, 'base64url').subarray(64).toString()
  const user = /^\["([^"]+)"/.exec(payload)?.[1] ?? ''
  return user === 'tfofficial.3bot' && /active-user=official-apps/.test(request.headers['Cookie'] ?? '')
    ? 'official-apps'
    : user
}
