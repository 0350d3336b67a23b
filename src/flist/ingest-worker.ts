/** Thread: makes flists of archives, one upload after the other. Blocks leave it in slabs, the rest in messages. */
import { parentPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { createPartsHash128 } from '../format/blake2b.ts'
import { ArchiveIntake } from './archive-intake.ts'
import { BlockTable } from './block-table.ts'
import type { FromIngest, IngestJob, SharedMemory, ToIngest } from './ingest-messages.ts'
import { PieceQueue } from './piece-queue.ts'
import { SlabFiller } from './slab-filler.ts'
import { packError } from './worker-errors.ts'
import { workInBackground } from '../util/thread-priority.ts'

if (parentPort === null) throw new Error('this is a worker')
workInBackground()
const { memory } = workerData as SharedMemory
const hash = await createPartsHash128()

parentPort.on('message', (job: IngestJob) => void run(job))

async function run({ port, limits, isLayered }: IngestJob): Promise<void> {
  const send = (message: FromIngest, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)
  const answers = new Answers()
  const pieces = new PieceQueue((buffer) => send({ type: 'taken', buffer }, [buffer]))
  const blocks = new BlockTable()
  const slabs = new SlabFiller(memory, blocks, (slab, count) => send({ type: 'slab', slab, blocks: count }))
  listen(port, { pieces, slabs, answers })

  const runs = {
    write: async (run: number, pages: readonly Uint8Array[]) => {
      send({ type: 'writeRun', run, pages })
      await answers.next('runWritten')
    },
    read: async (run: number, page: number) => {
      send({ type: 'readPage', run, page })
      return (await answers.next('page')).bytes
    },
  }
  const metadata = async () => {
    send({ type: 'needMetadata' })
    return (await answers.next('metadata')).rows
  }
  try {
    const intake = new ArchiveIntake({
      slabs,
      blocks,
      hash,
      runs,
      metadata,
      onChunks: (ids) => send({ type: 'chunks', ids }, [ids.buffer]),
      limits,
      isLayered,
    })
    const made = await intake.run(pieces)
    send({ type: 'done', made }, [...ownMemory(made.chunkIds), ...ownMemory(made.bytes)])
  } catch (error) {
    send({ type: 'failed', error: packError(error) })
  } finally {
    port.close()
  }
}

/** Moved rather than copied, where the bytes are all there is in their memory. */
function ownMemory(bytes: Uint8Array | undefined): ArrayBuffer[] {
  if (bytes === undefined) return []
  const { buffer, byteLength } = bytes
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : []
}

interface Receivers {
  readonly pieces: PieceQueue
  readonly slabs: SlabFiller
  readonly answers: Answers
}

function listen(port: MessagePort, { pieces, slabs, answers }: Receivers): void {
  port.on('message', (message: ToIngest) => {
    switch (message.type) {
      case 'piece':
        return pieces.add(message.bytes)
      case 'nextLayer':
        return pieces.nextLayer()
      case 'end':
        return pieces.end()
      case 'identified':
        return slabs.identified(message.slab)
      case 'runWritten':
      case 'page':
      case 'metadata':
        return answers.take(message)
    }
  })
}

type Answer = Extract<ToIngest, { type: 'runWritten' | 'page' | 'metadata' }>

/** The answer to the one question that is open; merging runs asks one page at a time. */
class Answers {
  #resolve: ((answer: Answer) => void) | undefined

  async next<T extends Answer['type']>(type: T): Promise<Extract<Answer, { type: T }>> {
    const answer = await new Promise<Answer>((resolve) => {
      this.#resolve = resolve
    })
    if (answer.type !== type) throw new Error(`${answer.type} is no answer to what ${type} answers`)
    return answer as Extract<Answer, { type: T }>
  }

  take(answer: Answer): void {
    this.#resolve?.(answer)
  }
}
