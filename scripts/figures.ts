import { cpus } from 'node:os'

/** What was measured, as it is to be read, beside its bound. */
export interface Figure {
  readonly what: string
  readonly measured: string
  readonly bound: string
  readonly isKept: boolean
}

/** Where a benchmark is, on stderr: stdout has its table only. */
export function progress(text: string): void {
  console.error(`${(performance.now() / 1000).toFixed(0).padStart(5)} s  ${text}`)
}

/** As Markdown. */
export function table(figures: readonly Figure[]): string {
  const rows = [
    ['figure', 'measured', 'bound', ''],
    ['---', '---', '---', '---'],
    ...figures.map(({ what, measured, bound, isKept }) => [
      what,
      measured,
      bound,
      isKept ? 'kept' : 'missed',
    ]),
  ]
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** How much of the whole machine's CPU time is used from now until it is asked, 0 to 1. */
export function cpuShare(): () => number {
  const before = ticks()
  return () => {
    const after = ticks()
    return 1 - (after.idle - before.idle) / Math.max(1, after.all - before.all)
  }
}

function ticks(): { readonly idle: number; readonly all: number } {
  const times = cpus().map(({ times }) => times)
  const all = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0)
  return { idle: times.reduce((sum, { idle }) => sum + idle, 0), all }
}
