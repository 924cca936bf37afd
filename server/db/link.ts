import { Fault } from '../rpc/fault.js'
import { type Result, sendBatch } from './batch.js'
import { type Database, onlyCell } from './database.js'
import { isLost, isStaleName, RunAnew, sqlStateOf } from './failures.js'
import type { Trip } from './lanes.js'
import { type Client, reusable } from './pool.js'
import { forgetAllNames } from './prepared.js'
import { absorb } from './rejections.js'
import { type Statement, statement } from './statement.js'

/** One transaction's way to PostgreSQL: a connection of its own from the pool, or a place among the flights of others. */
export class Link {
  readonly #db: Database
  #borrowed: Promise<Client> | undefined
  #client: Client | undefined
  #trip: Trip | undefined
  #role: string | undefined
  #failure: Error | undefined
  #ended = false

  constructor(db: Database) {
    this.#db = db
  }

  /** The first error: the cause of all later ones. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** A connection is here, so that `send` may be called. */
  get open(): boolean {
    return this.#client !== undefined
  }

  /** A connection of its own is here, or asked for. */
  get opening(): boolean {
    return this.#borrowed !== undefined
  }

  borrow(): Promise<Client> {
    this.#borrowed ??= this.#connect()
    return this.#borrowed
  }

  async #connect(): Promise<Client> {
    const pool = this.#db.poolFor(onlyCell)
    if (pool.waitingCount >= this.#db.waitingMax) {
      throw new Fault('TENANT_BUSY', 'too many calls wait already; try again', {}, { retryAfterMs: 200 })
    }
    const client = (await pool.connect()) as Client
    if (this.#ended) {
      client.release()
      throw new Error('the transaction is over')
    }
    this.#client = client
    return client
  }

  /** In order, without waiting. Nobody need await the results: they are handled. */
  send(statements: readonly Statement[]): Promise<Result>[] {
    const { list, places } = this.#inRoles(statements)
    return this.#noted(list, sendBatch(this.#client as Client, list, this.#db.named).results, places)
  }

  /** The whole transaction on a connection that others share; undefined: there is none with room. */
  share(statements: readonly Statement[]): Promise<Promise<Result>[]> | undefined {
    const { list, places } = this.#inRoles(statements)
    const sent = this.#db.lanes?.send(list)
    if (!sent) this.#role = undefined // nothing was sent
    return sent?.then((trip) => {
      this.#trip = trip
      if (this.#ended) trip.abort()
      return this.#noted(list, trip.results, places)
    })
  }

  /** Leaves no transaction open. */
  async rollback(): Promise<void> {
    const client = this.#client
    if (client && !client.connection.stream.destroyed && !reusable(client)) await this.send([statement('rollback')])[0]?.catch(() => {})
  }

  /** Ends the database's work, too. The socket is destroyed: release(true) would wait until the pipeline has drained. */
  abort(): void {
    this.#ended = true
    this.#client?.connection.stream.destroy()
    this.#trip?.abort()
  }

  end(): void {
    this.#ended = true
    const stale = isStaleName(this.#failure) // a name that outlived a migration
    if (stale) forgetAllNames()
    this.#client?.release(!reusable(this.#client) || stale)
  }

  /** The statements, each under its role, and where they stand among the switches. */
  #inRoles(statements: readonly Statement[]): { list: Statement[]; places: number[] } {
    const list: Statement[] = []
    const places = statements.map((each) => {
      if (each.role !== undefined && each.role !== this.#role) {
        this.#role = each.role
        list.push(statement(`set local role ${each.role}`))
      }
      return list.push(each) - 1
    })
    return { list, places }
  }

  #noted(list: readonly Statement[], results: readonly Promise<Result>[], places: readonly number[]): Promise<Result>[] {
    const noted = results.map((result, i) =>
      absorb(
        result.catch((error: Error) => {
          this.#failure ??= failureOf(error, list[i]?.otherwise)
          throw this.#failure
        }),
      ),
    )
    return places.map((place) => noted[place] as Promise<Result>)
  }
}

function failureOf(error: Error, otherwise: Error | undefined): Error {
  if (error instanceof RunAnew) return error
  const state = sqlStateOf(error)
  // 25P02: a transaction before ours, on a connection that others share, had failed
  if (isLost(error) || state === '25P02') return new RunAnew('connection lost', { cause: error })
  return state === 'TX412' && otherwise ? otherwise : error
}
