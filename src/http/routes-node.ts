import { bytesAnswer, compactJson } from './answer.ts'
import type { Route } from './call.ts'
import { fromUtf8 } from '../util/bytes.ts'
import type { HttpMetrics } from './metrics.ts'
import type { Site } from './site.ts'

/** The node about itself (interfaces.md, HTTP). */
export function nodeRoutes({ status }: Site, metrics: HttpMetrics): Route[] {
  const metricsPage = async () => bytesAnswer(200, metrics.contentType, fromUtf8(await metrics.page()))

  const get = { method: 'GET', access: 'public' } as const
  return [
    {
      ...get,
      path: '/healthz',
      summary: 'Answers 503 while starting or stopping',
      handle: () => compactJson({ status: 'ok' }),
    },
    {
      ...get,
      path: '/metrics',
      summary: 'Prometheus metrics, prefix zhub_',
      answers: 'text/plain',
      handle: metricsPage,
    },
    {
      ...get,
      path: '/api/v1/status',
      summary: 'The node in numbers',
      handle: async () => compactJson(await status()),
    },
  ]
}
