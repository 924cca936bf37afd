import type { Socket } from 'node:net'
import pg from 'pg'

export type { Pool } from 'pg'

/** What we use of pg's connection beyond its types: messages of the extended protocol, as pg-protocol writes them. */
export interface PgConnection {
  readonly stream: Socket
  close(message: { type: 'S'; name: string }): void
  parse(message: { name: string; text: string }): void
  bind(message: { statement: string; values: readonly unknown[] }): void
  describe(message: { type: 'P' }): void
  execute(): void
  sync(): void
}

/** And of its client: whether all that was sent is answered. */
export type Client = pg.PoolClient & {
  readonly connection: PgConnection
  readonly readyForQuery: boolean
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

/** True where the client may serve the next borrower: idle, nothing under way, and its socket alive. */
export const reusable = (client: Client) =>
  client.getTransactionStatus() === 'I' && client.readyForQuery && !client.connection.stream.destroyed
