/** What the chunk port has done since it was made; the metrics page reads it, nobody else writes it. */
export interface RespCounters {
  /** Open now. */
  connections: number
  connectionsTotal: number
  /** Turned away because the port was full. */
  connectionsRefused: number
  /** Closed by us: bad framing, over a limit, too slow. */
  connectionsDropped: number
  bytesIn: number
  bytesOut: number
  /** GET and MGET of chunks that are not here. */
  misses: number
  authFailures: number
  /** Replies that were errors, by our own fault or the client's. */
  errors: number
  /** Executed, by full name; `unknown` for what the port does not do. */
  readonly commands: Map<string, number>
}

export function createRespCounters(): RespCounters {
  return {
    connections: 0,
    connectionsTotal: 0,
    connectionsRefused: 0,
    connectionsDropped: 0,
    bytesIn: 0,
    bytesOut: 0,
    misses: 0,
    authFailures: 0,
    errors: 0,
    commands: new Map(),
  }
}
