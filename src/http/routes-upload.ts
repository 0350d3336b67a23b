import { concat, fromUtf8 } from '../util/bytes.ts'
import { bytesAnswer, type Answer } from './answer.ts'
import type { Call, Route } from './call.ts'
import { quote } from './python.ts'
import type { Uploaded, Uploads } from './uploads.ts'

/** Archives and flists going in by the API. */
export function uploadRoutes(uploads: Uploads): Route[] {
  const upload = async (call: Call) => uploadAnswer(await uploads.archive(call))
  const uploadFlist = async (call: Call) => uploadAnswer(await uploads.flist(call))
  const post = {
    method: 'POST',
    access: 'user',
    mutates: true,
    accepts: { type: 'multipart/form-data', schema: UPLOAD_FORM },
  } as const
  return [
    { ...post, path: '/api/flist/me/upload', summary: 'Makes a flist of an archive', handle: upload },
    {
      ...post,
      path: '/api/flist/me/upload-flist',
      summary: 'Publishes a flist whose chunks are here',
      handle: uploadFlist,
    },
  ]
}

const UPLOAD_FORM = {
  type: 'object',
  required: ['file'],
  properties: { file: { type: 'string', format: 'binary' } },
  patternProperties: { '^metadata-': { type: 'string' } },
}

/** The envelope around what the original's tool would have said. */
function uploadAnswer({ name, response }: Uploaded): Answer {
  const head = `{"status": "success", "payload": {"name": ${quote(name)}, "files": {"success": true, "error": null, "response": `
  const parts = [fromUtf8(head), response, fromUtf8(', "status": 0}}}\n')]
  return bytesAnswer(200, 'application/json', concat(parts))
}
