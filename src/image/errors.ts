import { NotFoundError, UnavailableError } from '../errors.ts'

/** The registry has no such image, or not for us: registries do not tell these apart. */
export class ImageNotFoundError extends NotFoundError {}

/** The registry cannot be reached, fails, or stalls. Trying again later may help. */
export class RegistryError extends UnavailableError {}
