/** The OpenAPI 3.1 description, made from the route table itself: what is routed is described, nothing else. */
import type { Access, Route } from './call.ts'
import { NDJSON } from './long-answer.ts'
import { CSRF_HEADER, sessionCookie } from './session.ts'

const ERROR = {
  description: 'The error envelope: {"status": "error", "message": …}',
  content: {
    'application/json': {
      schema: {
        type: 'object',
        properties: { status: { const: 'error' }, message: { type: 'string' } },
      },
    },
  },
}

const ACCESS: Readonly<Record<Access, object>> = {
  public: {},
  told: {
    security: [{}, { token: [] }],
    description: 'For everybody; the Administrator is told more.',
  },
  user: { security: [{ token: [] }] },
  admin: { security: [{ token: [] }], description: 'For the Administrator alone.' },
  session: {
    security: [{ token: [] }, { session: [] }],
    description: `A change asked for by a session repeats its csrf (/api/v1/session) in ${CSRF_HEADER}.`,
  },
}

export function openApi(
  routes: readonly Route[],
  site: { readonly version: string; readonly publicUrl: string },
): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    if (route.method === 'INFO') continue // no method of OpenAPI
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'zhub',
      version: site.version,
      description:
        'A Zero-OS hub. Flist names may leave out `.flist`. HEAD answers wherever GET does. ' +
        `Long jobs tell their progress when asked with \`Accept: ${NDJSON}\`.`,
    },
    servers: [{ url: site.publicUrl }],
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: sessionCookie(site.publicUrl) },
      },
    },
    paths,
  }
}

function operation(route: Route): object {
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name ?? '')
  const inPath = names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } }))
  const inQuery = Object.entries(route.query ?? {}).map(([name, description]) => {
    return { name, in: 'query', description, schema: { type: 'string' } }
  })
  const { accepts } = route
  return {
    summary: route.summary,
    ...ACCESS[route.access],
    parameters: [...inPath, ...inQuery],
    ...(accepts === undefined
      ? {}
      : { requestBody: { content: { [accepts.type]: { schema: accepts.schema } } } }),
    responses: {
      '200': { description: 'Done', content: { [route.answers ?? 'application/json']: {} } },
      default: ERROR,
    },
  }
}
