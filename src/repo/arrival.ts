import { CorruptError, ForbiddenError, MalformedError } from '../errors.ts'
import { decodeOperation, verifyOperation } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import type { Authority } from './authority.ts'

/**
 * The only way in for operations of others (invariant I1), whoever brings them. Each signature is looked at: one at the
 * end of a chain would vouch for all before it, but would let in operations that another node, to which they come
 * alone, must refuse for ever. 15,000 a second.
 * @throws {MalformedError | LimitError} for bytes that are no operation, or one of another realm.
 * @throws {ForbiddenError} for an author whom the realm never admitted.
 * @throws {CorruptError} for a signature that is not the author's.
 */
export function readArrival(bytes: Uint8Array, realm: Uint8Array, authority: Authority): SignedOperation {
  const signed = decodeOperation(bytes)
  const { operation, hash } = signed
  if (!equalBytes(operation.realm, realm)) throw new MalformedError('operation', 'it is of another realm')
  if (!authority.isAdmitted(operation.author)) {
    throw new ForbiddenError(`${toHex(operation.author)} may not write in this realm`)
  }
  if (!verifyOperation(signed)) throw new CorruptError(toHex(hash), 'its author did not sign it')
  return signed
}
