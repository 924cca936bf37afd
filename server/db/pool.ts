import type { Socket } from 'node:net'
import pg from 'pg'

export type { Pool } from 'pg'

/** What we use of a pg client beyond its types: the socket, the names that the server knows, and whether all that was sent is answered. */
export type Client = pg.PoolClient & {
  connection: { stream: Socket; parsedStatements: Record<string, string> }
  readyForQuery: boolean
  getTransactionStatus(): string | null
}

export interface PoolOptions {
  readonly url: string
  /** Connections at most. */
  readonly max: number
  readonly ssl?: pg.ClientConfig['ssl']
}

/** A pool whose clients pipeline (no waiting between queries) and whose deaths end no process. */
export function openPool({ url, max, ssl }: PoolOptions): pg.Pool {
  const options: pg.PoolConfig & { pipeline: boolean } = {
    connectionString: url,
    max,
    connectionTimeoutMillis: 2000,
    idleTimeoutMillis: 60_000,
    // A backend never gives catalogue memory back: recycle (DATA.md, Memory and connections).
    maxUses: 50_000,
    maxLifetimeSeconds: 1800,
    keepAlive: true,
    pipeline: true,
    ...(ssl === undefined ? {} : { ssl }),
  }
  const pool = new pg.Pool(options)
  pool.on('error', () => {}) // an idle client died; the pool has dropped it
  pool.on('connect', (client) => client.on('error', () => {})) // the pool takes its own listener off a client that is out
  // Whoever releases it, and whatever he forgot: one that is not idle goes, or its next borrower would sit in another's transaction and role.
  pool.on('release', (_, client) => {
    if (!reusable(client as Client)) void (client as unknown as pg.Client).end()
  })
  return pool
}

/** Sends all at once, one write to the socket, and returns their results in order. */
export function sendAll(client: Client, send: () => Promise<pg.QueryResult>[]): Promise<pg.QueryResult>[] {
  client.connection.stream.cork()
  try {
    return send()
  } finally {
    client.connection.stream.uncork()
  }
}

/** 'extended' always: without values pg takes the simple protocol, which would run an appended `; reset role; …` as well. */
export const extended = (text: string, values: readonly unknown[], name?: string) =>
  ({ text, values: [...values], queryMode: 'extended', ...(name === undefined ? {} : { name }) }) as pg.QueryConfig

/** True where the client may serve the next borrower: idle, nothing under way, and its socket alive. */
export const reusable = (client: Client) =>
  client.getTransactionStatus() === 'I' && client.readyForQuery && !client.connection.stream.destroyed
