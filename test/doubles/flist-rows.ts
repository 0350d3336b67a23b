import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import sqlite from 'node-sqlite3-wasm'

/** The `entries` of a trusted flist file, read without any code of the product. TEXT values stay text. */
export function readFlistRows(path: string): Map<string, Uint8Array | string> {
  const file = readFileSync(path)
  const tar = file[0] === 0x1f ? gunzipSync(file) : file
  const folder = mkdtempSync(join(tmpdir(), 'zhub-rows-'))
  try {
    const database = join(folder, 'flistdb.sqlite3')
    writeFileSync(database, databaseOf(tar))
    const open = new sqlite.Database(database, { readOnly: true })
    const rows = open.all('SELECT key, value FROM entries') as unknown as Array<{
      key: string
      value: Uint8Array | string
    }>
    open.close()
    return new Map(rows.map(({ key, value }) => [key, value]))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function databaseOf(tar: Buffer): Buffer {
  for (let at = 0; at < tar.length;) {
    const text = (from: number, length: number) =>
      tar.toString('latin1', at + from, at + from + length).split('\0')[0] ?? ''
    const size = parseInt(text(124, 12) || '0', 8)
    if (text(0, 100).endsWith('flistdb.sqlite3')) return tar.subarray(at + 512, at + 512 + size)
    at += 512 + 512 * Math.ceil(size / 512)
  }
  throw new Error('no flistdb.sqlite3 in the archive')
}
