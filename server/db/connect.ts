import pg from 'pg'

/**
 * One connection outside every pool, for work that is not the service's own: the database of development, tests, scripts.
 * The caller ends it. A connection that breaks while nobody asks it anything must not end the process, so its error is
 * swallowed here: the next query fails, and `end` is emitted.
 */
export async function connectOnce(url: string, connectTimeoutMs = 5_000): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectTimeoutMs })
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (err) {
    await client.end().catch(() => {})
    throw err
  }
  return client
}

/** A connection as `connectOnce` makes it, for those who may not import pg. */
export type Connection = pg.Client
