import { InvalidInputError, LimitError, NotFoundError } from '../errors.ts'
import { CHUNK_ID_BYTES, FL_CHUNK_ID_BYTES, MAX_CHUNK_BYTES } from '../format/chunk.ts'
import { fromHex } from '../util/bytes.ts'
import { HOUR_MS, MIB } from '../util/units.ts'
import { bytesAnswer, compactJson } from './answer.ts'
import { readAll, readJsonObject } from './body.ts'
import type { Call, Route } from './call.ts'
import type { Site } from './site.ts'

/** Interfaces.md: ids of one question, and how long the answer "known" holds. */
const MAX_IDS = 10_000
const HOLD_S = HOUR_MS / 1000

/** Chunks by id, for who brings a flist's content here without the chunk port. */
export function chunkRoutes({ chunks, receiver, space, leases, clock = Date.now }: Site): Route[] {
  const isHeld = (id: Uint8Array) => {
    const info = chunks.info(id)
    return info !== undefined && info.isDamaged !== true
  }

  const read = ({ params: { id = '' } }: Call) => {
    const bytes = chunks.read(parseChunkId(id))
    if (bytes === undefined) throw new NotFoundError('chunk not found')
    const forEver = ['Cache-Control', 'public, max-age=31536000, immutable']
    return bytesAnswer(200, 'application/octet-stream', bytes, forEver)
  }

  const write = async ({ request, response, params: { id = '' } }: Call) => {
    const key = parseChunkId(id)
    await space.require(0) // also for a chunk that is here: its use is written down
    const bytes = await readAll(request, response, MAX_CHUNK_BYTES)
    const isNew = await receiver.receive(key, bytes)
    return compactJson({ id, size: bytes.length }, isNew ? 201 : 200)
  }

  /** Held first, looked at again after: what is not called missing is not collected for an hour. */
  const missing = async ({ request, response }: Call) => {
    const { ids } = await readJsonObject(request, response, 1 * MIB)
    if (!Array.isArray(ids)) throw new InvalidInputError('ids: expected a list of chunk ids')
    if (ids.length > MAX_IDS) throw new LimitError('ids', MAX_IDS, 'chunks')
    const wanted = new Map(ids.map((id: unknown) => [String(id), parseChunkId(String(id))]))
    const untilS = Math.floor(clock() / 1000) + HOLD_S
    await leases.holdUntil([...wanted.values()].filter(isHeld), untilS)
    const absent = [...wanted].filter(([, id]) => !isHeld(id)).map(([text]) => text)
    return compactJson({ missing: absent })
  }

  const path = '/api/v1/chunks/:id'
  const change = { access: 'admin', mutates: true, writes: true } as const
  const bytes = { type: 'application/octet-stream', schema: { type: 'string', format: 'binary' } }
  const list = { type: 'array', maxItems: MAX_IDS, items: { type: 'string' } }
  return [
    {
      method: 'GET',
      path,
      access: 'public',
      answers: 'application/octet-stream',
      summary: 'An encoded chunk',
      handle: read,
    },
    { ...change, method: 'PUT', path, summary: 'Keeps an encoded chunk', accepts: bytes, handle: write },
    {
      ...change,
      method: 'POST',
      path: '/api/v1/chunks/missing',
      summary: 'Which of these chunks are not here; the others are held for an hour',
      accepts: { type: 'application/json', schema: { type: 'object', properties: { ids: list } } },
      handle: missing,
    },
  ]
}

/** 32 or 64 lower-case hex digits. @throws {InvalidInputError}. */
function parseChunkId(text: string): Uint8Array {
  const id = fromHex(text)
  if (id?.length !== CHUNK_ID_BYTES && id?.length !== FL_CHUNK_ID_BYTES) {
    throw new InvalidInputError(`not a chunk id: ${JSON.stringify(text.slice(0, 70))}`)
  }
  return id
}
