/**
 * Joins concurrent calls for one key into a single run of `work`.
 * A failure reaches every caller that joined, then is forgotten: the next call tries again.
 */
export function share<K, V>(work: (key: K) => Promise<V>): (key: K) => Promise<V> {
  const running = new Map<K, Promise<V>>()

  return (key) => {
    let run = running.get(key)
    if (run === undefined) {
      run = work(key).finally(() => running.delete(key))
      running.set(key, run)
    }
    return run
  }
}
