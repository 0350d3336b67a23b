import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { asBuffer, equalBytes, u64be } from '../util/bytes.ts'
import { createPrivateFile } from './private-file.ts'

/**
 * A file outside the database that changes with each start, and whose last state the database knows. When the two
 * differ, one of them is an older copy: a backup was put back, and the node must not go on with the sequence numbers
 * it finds. The file's inode is part of the state, so a copy of the whole folder is noticed too; backups leave it out.
 */
export interface BootMarker {
  /** What the database should know from now on. */
  readonly state: Uint8Array
  /** False after a restore, and at the first start. */
  readonly isExpected: boolean
}

const COUNTER_BYTES = 8

/** Compares the file with what the database knew, and counts this start. */
export async function markBoot(path: string, known: Uint8Array | undefined): Promise<BootMarker> {
  await createPrivateFile(path, u64be(0))
  const file = await open(path, 'r+')
  try {
    const counter = await readCounter(file)
    const inode = u64be(Number((await file.stat()).ino % Number.MAX_SAFE_INTEGER))
    const isExpected = known !== undefined && equalBytes(known, Buffer.concat([counter, inode]))
    const next = u64be(asBuffer(counter).readUIntBE(2, 6) + 1)
    // In place, for the inode to stay. A torn write costs a new incarnation and nothing else.
    await file.write(next, 0, COUNTER_BYTES, 0)
    await file.sync()
    return { state: Buffer.concat([next, inode]), isExpected }
  } finally {
    await file.close()
  }
}

async function readCounter(file: FileHandle): Promise<Uint8Array> {
  const counter = new Uint8Array(COUNTER_BYTES)
  await file.read(counter, 0, COUNTER_BYTES, 0)
  return counter
}
