import { unlink } from 'node:fs/promises'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import { UnavailableError } from '../errors.ts'
import type { HostPort } from '../util/parse.ts'

export function listenTcp(server: Server, address: HostPort): Promise<void> {
  return listening(server, () => server.listen({ ...address }))
}

/**
 * Listens on a unix socket that only this user can open. What a killed node left there is cleared away.
 * @throws {UnavailableError} when a living process answers on it.
 */
export async function listenUnix(server: Server, path: string): Promise<void> {
  try {
    await bindUnix(server, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    if (await answers(path))
      throw new UnavailableError(`another process listens on ${path}`, { cause: error })
    await unlink(path)
    await bindUnix(server, path)
  }
}

function bindUnix(server: Server, path: string): Promise<void> {
  const before = process.umask(0o177) // the file is made within `listen`, so nobody slips in between
  try {
    return listening(server, () => server.listen({ path }))
  } finally {
    process.umask(before)
  }
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.once('listening', () => {
      server.off('error', reject)
      resolve()
    })
    listen()
  })
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path })
    const end = (isAlive: boolean) => {
      probe.destroy()
      resolve(isAlive)
    }
    probe.once('connect', () => end(true))
    probe.once('error', () => end(false))
  })
}
