import type pg from 'pg'
import { type Result, sendBatch } from './batch.js'
import { isLost, isStaleName, RunAnew } from './failures.js'
import { type Client, reusable } from './pool.js'
import { forgetAllNames } from './prepared.js'
import { type Statement, statement } from './statement.js'

export interface FlightOptions {
  readonly timeoutMs?: number
  readonly readOnly?: boolean
  /** Prepare the statements by name: for those that come all the time, and not behind a pooler. */
  readonly named?: boolean
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
): Promise<Result[]> {
  if (!/^[a-z_][a-z0-9_]*$/.test(role)) throw new TypeError('bad role') // it becomes part of SQL
  try {
    return await once(pool, role, statements, options)
  } catch (error) {
    if (!options.readOnly || !(error instanceof RunAnew || isStaleName(error)) || error instanceof TooLate) throw error
    return await once(pool, role, statements, options)
  }
}

class TooLate extends RunAnew {}

async function once(
  pool: pg.Pool,
  role: string,
  statements: readonly Statement[],
  { timeoutMs = 5000, readOnly = false, named = false }: FlightOptions,
): Promise<Result[]> {
  const client = (await pool.connect()) as Client
  let late: TooLate | undefined
  const timer = setTimeout(() => {
    late = new TooLate(`no answer within ${timeoutMs} ms`)
    client.connection.stream.destroy(late)
  }, timeoutMs)
  try {
    const begin = statement(`begin isolation level read committed${readOnly ? ' read only' : ''}`)
    const all = [begin, statement(`set local role ${role}`), ...statements.map((each) => ({ ...each, role })), statement('commit')]
    const settled = await Promise.allSettled(sendBatch(client, all, named).results)
    const failed = settled.find((result) => result.status === 'rejected')
    if (failed) {
      if (isStaleName(failed.reason)) forgetAllNames()
      await Promise.allSettled(sendBatch(client, [statement('rollback')], false).results)
      throw late ?? (isLost(failed.reason) ? new RunAnew('connection lost', { cause: failed.reason }) : failed.reason)
    }
    const results = settled.map((result) => (result as PromiseFulfilledResult<Result>).value)
    if (results.at(-1)?.command !== 'COMMIT') throw new RunAnew('COMMIT was not answered with COMMIT')
    return results.slice(2, -1)
  } finally {
    clearTimeout(timer)
    client.release(!reusable(client))
  }
}
