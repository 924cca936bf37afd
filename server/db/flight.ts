import type pg from 'pg'
import { type Client, extended, reusable, sendAll } from './pool.js'
import type { Statement } from './statement.js'

/**
 * BEGIN, SET LOCAL ROLE, the statements and COMMIT in one flight: for jobs and polls, which belong to no call.
 * Rejects with the first error, and if COMMIT was not answered with COMMIT or nothing came in time; the client is destroyed then.
 */
export async function flight(
  pool: pg.Pool,
  role: string,
  statements: readonly Statement[],
  { timeoutMs = 5000, readOnly = false }: { timeoutMs?: number; readOnly?: boolean } = {},
): Promise<pg.QueryResult[]> {
  if (!/^[a-z_][a-z0-9_]*$/.test(role)) throw new TypeError('bad role') // it becomes part of SQL
  const client = (await pool.connect()) as Client
  const timer = setTimeout(() => client.connection.stream.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  try {
    const texts = [
      { text: `begin isolation level read committed${readOnly ? ' read only' : ''}`, values: [] },
      { text: `set local role ${role}`, values: [] },
      ...statements,
      { text: 'commit', values: [] },
    ]
    const settled = await Promise.allSettled(sendAll(client, () => texts.map(({ text, values }) => client.query(extended(text, values)))))
    const failed = settled.find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
    const results = settled.map((result) => (result as PromiseFulfilledResult<pg.QueryResult>).value)
    if (results.at(-1)?.command !== 'COMMIT') throw new Error('COMMIT was not answered with COMMIT')
    return results.slice(2, -1)
  } finally {
    clearTimeout(timer)
    client.release(!reusable(client))
  }
}
