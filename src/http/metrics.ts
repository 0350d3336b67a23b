import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'

/** Where the numbers of `/metrics` come from, besides our own. */
export interface MetricSource {
  /** With the prefix `zhub_`. */
  readonly name: string
  readonly help: string
  readonly read: () => number
}

/** The Prometheus page (interfaces.md, HTTP), and the count of answers. */
export class HttpMetrics {
  readonly #registry = new Registry()
  readonly #answers: Counter
  readonly #byStatus = new Map<number, Counter.Internal>()

  constructor(sources: readonly MetricSource[]) {
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
    return this.#registry.metrics()
  }
}
