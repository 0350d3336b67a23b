import { KIB, MIB } from '../util/units.ts'

/** Plain bytes of a block; the last of a file may be shorter. Source: flist-v1.md §8. */
export const BLOCK_BYTES = 512 * KIB

/** Largest encoded chunk we take from anybody. Security.md row 22; the codec's own worst case is about 612 KiB. */
export const MAX_CHUNK_BYTES = 1 * MIB

/** Length of a chunk id of flist v1, and of `.fl`. */
export const CHUNK_ID_BYTES = 16
export const FL_CHUNK_ID_BYTES = 32
