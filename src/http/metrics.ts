import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'

/** Where the numbers of `/metrics` come from, besides our own. */
export interface MetricSource {
  /** With the prefix `zhub_`. */
  readonly name: string
  readonly help: string
  readonly read: () => number
}

/** One number of a metric that has several, told apart by labels. */
export interface LabelledValue {
  /** With the prefix `zhub_`. */
  readonly name: string
  readonly help: string
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

/** The Prometheus page (interfaces.md, HTTP), and the count of answers. */
export class HttpMetrics {
  readonly #labelled: () => readonly LabelledValue[]
  /** Of the last page. */
  readonly #labelledNames = new Set<string>()
  readonly #registry = new Registry()
  readonly #answers: Counter
  readonly #byStatus = new Map<number, Counter.Internal>()

  /** `labelled` is asked anew for each page: what it no longer names is not on it. */
  constructor(sources: readonly MetricSource[], labelled: () => readonly LabelledValue[] = () => []) {
    this.#labelled = labelled
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry, prefix: 'zhub_' })
    this.#answers = new Counter({
      name: 'zhub_http_answers_total',
      help: 'HTTP answers by status',
      labelNames: ['status'],
      registers,
    })
    for (const { name, help, read } of sources) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read())
        },
      })
    }
  }

  count(status: number): void {
    let counter = this.#byStatus.get(status)
    if (counter === undefined) {
      counter = this.#answers.labels({ status: String(status) })
      this.#byStatus.set(status, counter)
    }
    counter.inc()
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  page(): Promise<string> {
    this.#readLabelled()
    return this.#registry.metrics()
  }

  #readLabelled(): void {
    for (const name of this.#labelledNames) this.#registry.removeSingleMetric(name)
    this.#labelledNames.clear()
    const registers = [this.#registry]
    for (const { name, help, value, labels = {} } of this.#labelled()) {
      if (!this.#labelledNames.has(name)) {
        new Gauge({ name, help, labelNames: Object.keys(labels), registers })
        this.#labelledNames.add(name)
      }
      const gauge = this.#registry.getSingleMetric(name)
      if (gauge instanceof Gauge) gauge.set(labels, value)
    }
  }
}
