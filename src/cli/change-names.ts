import { actingRepository } from './acting-repository.ts'
import type { CommandContext, ExitCode } from './command.ts'
import { printable, writeJson } from './output.ts'

/** Of every command here. */
export const JSON_OPTION = { name: 'json', help: 'the answer as the standard API gives it' } as const

export interface NameChange {
  readonly method?: 'GET' | 'DELETE'
  /** Whose names change; `undefined`: ours. */
  readonly repository: string | undefined
  /** Below `/api/flist/me/`, not yet encoded. */
  readonly segments: readonly string[]
  /** Shown as `repository/made` when there is one. */
  readonly made?: string
}

/** One change of the standard API (hub-api.md §5), as whom it concerns. */
export async function changeNames(
  { client, options, stdout }: CommandContext,
  { method = 'GET', repository: named, segments, made }: NameChange,
): Promise<ExitCode> {
  const node = await client()
  const repository = await actingRepository(node, named)
  const path = segments.map(encodeURIComponent).join('/')
  const answer = await node.call(method, `/api/flist/me/${path}`, { actingRepository: repository })
  if (options.flag('json')) await writeJson(stdout, answer)
  else if (made !== undefined) await stdout.write(printable(`${repository}/${made}`) + '\n')
  return 0
}
