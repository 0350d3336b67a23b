/** The key spaces of the store in the RowStore; FORMAT.md has their keys and values. */
export const SPACES = {
  /** Of the store itself: totals, format number, cursors. */
  own: 'store',
  /** chunk id → ChunkRow */
  chunks: 'chunk',
  /** BLAKE2b-128 of a plain block → chunk id */
  plain: 'plain',
  /** payload number → nothing: payloads to drop */
  freed: 'freed',
  /** chunk id → nothing: its payload was found lost or damaged */
  damaged: 'bad',
  /** SHA-256 of a part of a flist → chunk id under which it is kept */
  parts: 'part',
  /** SHA-256 → descriptor or chunk-list page */
  objects: 'obj',
  /** flist id → number of the flist */
  flists: 'fl',
  /** first byte of chunk ids, their length, number of the flist → those ids */
  references: 'ref',
  /** chunk id → unix seconds until which it is held */
  holds: 'lease',
} as const
