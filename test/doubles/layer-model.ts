/** Layers by a model as simple as it gets: a map of paths that each layer is applied to, one step after the other. */
import fc from 'fast-check'
import type { Handmade } from './tar-bytes.ts'

/** Joined path → content of a file, `-> target`, or `d` and the mode. */
export type Model = Map<string, string>

export interface Step {
  readonly kind: 'file' | 'directory' | 'link' | 'hardlink' | 'whiteout' | 'opaque'
  readonly path: string
  readonly text: string
}

const NAMES = ['a', 'b', 'c']
const paths = fc
  .array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'))
const steps: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('file', 'file', 'directory', 'link', 'hardlink', 'whiteout', 'whiteout', 'opaque'),
  path: paths,
  text: fc.oneof(paths, fc.constantFrom('1', '2', '3')),
})
export const layersArbitrary = fc.array(fc.array(steps, { maxLength: 8 }), { minLength: 1, maxLength: 5 })

/** Applies what of a layer makes sense, and answers that as members of an archive. */
export function applyLayer(model: Model, steps: readonly Step[]): Handmade[] {
  const taken = withoutClashes(steps)
  for (const { kind, path } of taken) {
    if (kind === 'whiteout') remove(model, path)
    if (kind === 'opaque') removeBelow(model, path)
  }
  for (const { kind, path } of taken) if (!isMark(kind)) imply(model, parentOf(path))
  return taken.map((step) => memberOf(place(model, step)))
}

/** In one layer a path is a directory or something else. */
function withoutClashes(steps: readonly Step[]): Step[] {
  const directories = new Set<string>()
  const others = new Set<string>()
  return steps.filter(({ kind, path }) => {
    if (isMark(kind)) return true
    const isOther = kind !== 'directory'
    const inside = isOther ? ancestors(path) : [...ancestors(path), path]
    if (inside.some((one) => others.has(one)) || (isOther && directories.has(path))) return false
    for (const one of inside) directories.add(one)
    if (isOther) others.add(path)
    return true
  })
}

/** A hard link that leads nowhere is taken as a file. */
function place(model: Model, step: Step): Step {
  const { kind, path, text } = step
  switch (kind) {
    case 'whiteout':
    case 'opaque':
      return step
    case 'directory':
      model.set(path, `d${modeOf(text).toString(8)}`)
      return step
    case 'file':
    case 'link':
      remove(model, path)
      model.set(path, kind === 'file' ? text : `-> ${text}`)
      return step
    case 'hardlink':
      return placeHardLink(model, step)
  }
}

function placeHardLink(model: Model, step: Step): Step {
  const { path, text: target } = step
  const content = model.get(target)
  const isGood =
    content !== undefined && !isDirectory(content) && path !== target && !target.startsWith(`${path}/`)
  if (!isGood) return place(model, { ...step, kind: 'file' })
  remove(model, path)
  model.set(path, content)
  return step
}

function memberOf({ kind, path, text }: Step): Handmade {
  switch (kind) {
    case 'whiteout':
      return { path: inFolder(parentOf(path), `.wh.${path.slice(path.lastIndexOf('/') + 1)}`) }
    case 'opaque':
      return { path: `${path}/.wh..wh..opq` }
    case 'directory':
      return { path, kind, mode: modeOf(text) }
    case 'file':
      return { path, content: text }
    case 'link':
    case 'hardlink':
      return { path, kind, linkTarget: text }
  }
}

function isMark(kind: Step['kind']): boolean {
  return kind === 'whiteout' || kind === 'opaque'
}

function modeOf(text: string): number {
  return 0o700 + (text.length % 8)
}

function isDirectory(entry: string): boolean {
  return /^d\d+$/.test(entry)
}

/** The folder and those on the way, in place of whatever else is there. */
function imply(model: Model, folder: string): void {
  if (folder === '') return
  for (const path of [...ancestors(folder), folder]) {
    if (isDirectory(model.get(path) ?? '')) continue
    model.set(path, 'd755')
  }
}

function remove(model: Model, path: string): void {
  model.delete(path)
  removeBelow(model, path)
}

function removeBelow(model: Model, path: string): void {
  for (const one of [...model.keys()]) if (one.startsWith(`${path}/`)) model.delete(one)
}

function ancestors(path: string): string[] {
  const parts = path.split('/')
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join('/'))
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function inFolder(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`
}
