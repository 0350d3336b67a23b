import { InvalidInputError } from '../errors.ts'
import { isName } from '../format/name-rule.ts'

/**
 * A name in a URL, whatever it names: outside the rule is an error, a reserved repository is just an unknown one.
 * @throws {InvalidInputError} `invalid name`.
 */
export function checkName(text: string): string {
  if (!isName(text)) throw new InvalidInputError('invalid name')
  return text
}
