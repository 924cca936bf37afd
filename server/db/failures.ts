import pg from 'pg'
import { Fault } from '../rpc/fault.js'

/** Run the handler anew: the connection was lost, or COMMIT was not answered with COMMIT. */
export class RunAnew extends Error {
  override readonly name = 'RunAnew'
}

/** The stored answer of an earlier run of the same request. */
export class Replay extends Error {
  readonly answer: Uint8Array
  constructor(answer: Uint8Array) {
    super('answered before')
    this.answer = answer
  }
}

/** Lost at COMMIT without a claim: nobody can tell whether it happened, so it must not run twice. */
export class CommitUnknown extends Error {
  override readonly name = 'CommitUnknown'
}

/** SQLSTATE of errors that PostgreSQL sent; '' for all others (EPIPE only looks like one). */
export const sqlStateOf = (error: unknown): string => (error instanceof pg.DatabaseError ? (error.code ?? '') : '')

/** Serialisation, deadlock, lock timeout, access changed meanwhile. */
const conflictStates = new Set(['40001', '40P01', '55P03', 'TX409'])

/** A plan outdated by a migration, a name that the server does not know; 0A000 is also a mistake of ours, which running anew does not heal. */
export const isStaleName = (error: unknown) => /^(0A000|26000)$/.test(sqlStateOf(error))

export const mayRunAnew = (error: unknown) => error instanceof RunAnew || conflictStates.has(sqlStateOf(error)) || isStaleName(error)

/** True where the connection is gone or going. */
export const isLost = (error: unknown) => {
  const state = sqlStateOf(error)
  return state === '' || /^(08|57P0|25P03)/.test(state)
}

/** What the caller is told of a failure that is not a Fault yet; anything unexpected stays as it is, and is INTERNAL. */
export function toFault(error: unknown): unknown {
  if (error instanceof Fault) return error
  const state = sqlStateOf(error)
  if (error instanceof CommitUnknown || error instanceof RunAnew || isConnectFailure(error) || /^(08|53|57P0|28)/.test(state)) {
    return new Fault('DEPENDENCY_DOWN', 'the database is not available', {}, { retryAfterMs: 1000, cause: error })
  }
  if (state === '57014') return new Fault('DEADLINE', 'the work took too long and was stopped', {}, { cause: error })
  if (conflictStates.has(state))
    return new Fault('CONFLICT', 'the data changed meanwhile; try again', {}, { retryAfterMs: 100, cause: error })
  return error
}

const connectCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'])
const isConnectFailure = (error: unknown) =>
  error instanceof Error &&
  (connectCodes.has((error as NodeJS.ErrnoException).code ?? '') ||
    /^(Connection terminated|timeout exceeded when trying to connect)/.test(error.message))
