import type pg from 'pg'
import { isLost, RunAnew } from './failures.js'
import { type Client, extended, reusable, sendAll } from './pool.js'
import type { Statement } from './statement.js'

export interface FlightOptions {
  readonly timeoutMs?: number
  readonly readOnly?: boolean
}

/**
 * BEGIN, SET LOCAL ROLE, the statements and COMMIT in one flight: for jobs and polls, which belong to no call.
 * Rejects with the first error, and if COMMIT was not answered with COMMIT or nothing came in time; the client is destroyed then. A read whose
 * connection was lost is sent once more, within `timeoutMs` each.
 */
export async function flight(
  pool: pg.Pool,
  role: string,
  statements: readonly Statement[],
  options: FlightOptions = {},
): Promise<pg.QueryResult[]> {
  if (!/^[a-z_][a-z0-9_]*$/.test(role)) throw new TypeError('bad role') // it becomes part of SQL
  try {
    return await once(pool, role, statements, options)
  } catch (error) {
    if (!options.readOnly || !(error instanceof RunAnew) || error instanceof TooLate) throw error
    return await once(pool, role, statements, options)
  }
}

class TooLate extends RunAnew {}

async function once(
  pool: pg.Pool,
  role: string,
  statements: readonly Statement[],
  { timeoutMs = 5000, readOnly = false }: FlightOptions,
): Promise<pg.QueryResult[]> {
  const client = (await pool.connect()) as Client
  let late: TooLate | undefined
  const timer = setTimeout(() => {
    late = new TooLate(`no answer within ${timeoutMs} ms`)
    client.connection.stream.destroy(late)
  }, timeoutMs)
  try {
    const texts = [
      { text: `begin isolation level read committed${readOnly ? ' read only' : ''}`, values: [] },
      { text: `set local role ${role}`, values: [] },
      ...statements,
      { text: 'commit', values: [] },
    ]
    const settled = await Promise.allSettled(sendAll(client, () => texts.map(({ text, values }) => client.query(extended(text, values)))))
    const failed = settled.find((result) => result.status === 'rejected')
    if (failed) throw late ?? (isLost(failed.reason) ? new RunAnew('connection lost', { cause: failed.reason }) : failed.reason)
    const results = settled.map((result) => (result as PromiseFulfilledResult<pg.QueryResult>).value)
    if (results.at(-1)?.command !== 'COMMIT') throw new RunAnew('COMMIT was not answered with COMMIT')
    return results.slice(2, -1)
  } finally {
    clearTimeout(timer)
    client.release(!reusable(client))
  }
}
