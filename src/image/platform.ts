import { InvalidInputError } from '../errors.ts'

/** What an image is built for, as Go names them: `linux/amd64`, `linux/arm64/v8`. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string | undefined
}

/** @throws {InvalidInputError} */
export function parsePlatform(text: string): Platform {
  const match = /^([a-z0-9]{1,32})\/([a-z0-9]{1,32})(?:\/([a-z0-9.]{1,32}))?$/.exec(text)
  const [, os, architecture, variant] = match ?? []
  if (os === undefined || architecture === undefined)
    throw new InvalidInputError(
      `platform: expected one like linux/amd64, got ${JSON.stringify(text.slice(0, 100))}`,
    )
  return { os, architecture, variant }
}

export function showPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/')
}

/** Variants that are meant when none is named. */
const USUAL_VARIANT: Readonly<Record<string, string>> = { arm64: 'v8', arm: 'v7' }

/** How well an image for `offered` runs on `wanted`: 0 not at all; of several the highest. */
export function fitOf(offered: Platform, wanted: Platform): 0 | 1 | 2 {
  if (offered.os !== wanted.os || offered.architecture !== wanted.architecture) return 0
  const usual = USUAL_VARIANT[wanted.architecture]
  const isSame = (offered.variant ?? usual) === (wanted.variant ?? usual)
  if (isSame) return 2
  return wanted.variant === undefined ? 1 : 0
}
