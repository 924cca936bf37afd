import type { Kysely } from 'kysely'
import type pg from 'pg'
import { Fault } from '../rpc/fault.js'
import { builder, type OwnedQuery } from './builder.js'
import type { AccessRow, DbCall } from './call.js'
import { type Binding, closingStatements, type Work } from './closing.js'
import { type Database, onlyCell } from './database.js'
import { CommitUnknown, isLost, isStaleName, Replay, RunAnew, sqlStateOf } from './failures.js'
import { type Client, extended, reusable, sendAll } from './pool.js'
import { absorb } from './rejections.js'
import { expecting, mustFind, type Statement, statement } from './statement.js'
import { forgetAllNames, forgetOldNames, nameFor } from './statement-names.js'
import type { PlatformTables, TenantTables } from './tables.js'
import type { NewEvent, Query, TenantTx } from './tx.js'

const app = 'platform_app'
const sessionState = `select now, key_valid, scopes, tenant_state, purge_time, platform_revision, access_revision, session_epoch
  from platform.access($1, $2, $3)`
const claiming = 'select hash, done, answer from platform.claim($1, $2, $3, $4, $5)'

/**
 * One attempt: a connection, one or two flights, COMMIT or nothing. A flight is sent in order without waiting; after a failure PostgreSQL refuses
 * the rest of it and answers COMMIT with ROLLBACK, so nothing is half done.
 */
export async function runOnce<A>(db: Database, call: DbCall, binding: Binding, fn: (tx: TenantTx) => Promise<A>): Promise<A> {
  const pool = db.poolFor(onlyCell)
  if (pool.waitingCount >= db.waitingMax) {
    throw new Fault('TENANT_BUSY', 'too many calls wait already; try again', {}, { retryAfterMs: 200 })
  }
  call.signal.throwIfAborted()
  const client = (await pool.connect()) as Client
  if (call.signal.aborted) {
    client.release()
    throw call.signal.reason
  }
  const run = new Attempt(db, call, binding, client)
  // The socket is destroyed: release(true) would wait until the pipeline has drained.
  let give: (error: Error) => void = () => {}
  const given = new Promise<never>((_, reject) => {
    give = reject
  })
  given.catch(() => {})
  const abort = () => {
    run.end()
    client.connection.stream.destroy()
    give(call.signal.reason as Error)
  }
  call.signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([run.perform(fn), given])
  } finally {
    call.signal.removeEventListener('abort', abort)
    run.end()
    if (run.staleNames) forgetAllNames()
    client.release(!reusable(client) || run.staleNames)
  }
}

class Attempt {
  readonly #db: Database
  readonly #call: DbCall
  readonly #binding: Binding
  readonly #client: Client
  readonly #owner = Symbol('transaction')
  readonly #readOnly: boolean
  readonly #writes: Statement[] = []
  readonly #guards: Statement[] = []
  readonly #events: NewEvent[] = []
  readonly #audits: string[] = []
  readonly #moved = { access: 0, session: 0 }
  #role: string | undefined
  #over = false
  #sentCommit = false
  #failed: Error | undefined
  #opened: Promise<AccessRow> | undefined
  #lastCommit: Promise<pg.QueryResult> | undefined

  constructor(db: Database, call: DbCall, binding: Binding, client: Client) {
    this.#db = db
    this.#call = call
    this.#binding = binding
    this.#client = client
    this.#readOnly = call.auditAction === ''
  }

  end() {
    this.#over = true
  }

  /** A name that outlived a migration. */
  get staleNames() {
    return isStaleName(this.#failed)
  }

  async perform<A>(fn: (tx: TenantTx) => Promise<A>): Promise<A> {
    const { claim, validateOnly } = this.#call
    try {
      const answer = await fn(this.#tx())
      this.#over = true
      if (!this.#opened) void this.#open([])
      const access = (await this.#opened) as AccessRow
      if (this.#failed) throw this.#failed // the handler swallowed it
      if (validateOnly) {
        await this.#query(statement('rollback'))
        return answer
      }
      if (this.#lastCommit) {
        await this.#mustCommit(this.#lastCommit)
        return answer
      }
      const closing = this.#readOnly ? [] : closingStatements(this.#work(access, claim?.encode(answer)))
      this.#sentCommit = true
      const results = await Promise.allSettled(this.#send([...closing, statement('commit')]))
      if (this.#failed) throw this.#failed
      await this.#mustCommit((results.at(-1) as PromiseFulfilledResult<pg.QueryResult>).value)
      if (this.#events.length > 0 || this.#moved.access + this.#moved.session > 0) this.#db.committed(this.#binding.tenantId)
      return answer
    } catch (error) {
      return await this.#recover<A>(error as Error)
    }
  }

  async #mustCommit(commit: Promise<pg.QueryResult> | pg.QueryResult) {
    if ((await commit).command !== 'COMMIT') throw new RunAnew('COMMIT was not answered with COMMIT')
  }

  async #recover<A>(error: Error): Promise<A> {
    this.#over = true
    // Until BEGIN is answered the client shows the status that its last user left: never judge it before. And a replay, or the caller's lost
    // rights, outrank what the handler made of its reads.
    const cause =
      this.#opened && !this.#sentCommit
        ? await this.#opened.then(
            () => error,
            (first: Error) => first,
          )
        : error
    await this.#lastCommit?.catch(() => {})
    if (!this.#client.connection.stream.destroyed && !reusable(this.#client)) await this.#query(statement('rollback')).catch(() => {})
    if (cause instanceof Replay && this.#call.claim) return this.#call.claim.decode(cause.answer) as A
    if (this.#sentCommit && !this.#readOnly && !this.#call.claim && cause instanceof RunAnew && cause.cause)
      throw new CommitUnknown('lost at COMMIT', { cause })
    throw cause
  }

  #tx(): TenantTx {
    const self = this
    const { call, binding } = { call: this.#call, binding: this.#binding }
    let tenant: Kysely<TenantTables> | undefined
    let platform: Kysely<PlatformTables> | undefined
    const first = () => {
      this.#inside()
      if (!this.#opened) void this.#open([])
      return this.#opened as Promise<AccessRow>
    }
    return {
      call,
      tenantId: binding.tenantId,
      get tenant() {
        if (binding.schema === undefined) throw new TypeError('this call names no tenant')
        tenant ??= builder<TenantTables>(binding.schema, binding.schema, self.#owner, (s) => absorb(self.#read(s)))
        return tenant
      },
      get platform() {
        platform ??= builder<PlatformTables>('platform', app, self.#owner, (s) => absorb(self.#read(s)))
        return platform
      },
      get now() {
        return absorb(first().then((access) => access.now))
      },
      get access() {
        return absorb(first())
      },
      last: (query) => this.#last(this.#ours(query)),
      later: (query, rows, otherwise) => {
        this.#mutating()
        const write = this.#ours(query)
        this.#writes.push(rows === undefined ? write : expecting(write, rows, otherwise))
      },
      guard: (query, otherwise) => this.#collect(this.#guards, mustFind(this.#ours(query), otherwise)),
      emit: (event) => this.#collect(this.#events, event),
      audit: (entry) => this.#collect(this.#audits, entry),
      invalidate: (what) => {
        this.#mutating()
        this.#moved[what] = 1
      },
    }
  }

  #inside() {
    if (this.#over) throw new Error('the transaction is over')
  }

  #mutating() {
    this.#inside()
    if (this.#readOnly) throw new TypeError('a call whose policy names no audit action writes nothing')
  }

  #collect<T>(list: T[], item: T) {
    this.#mutating()
    list.push(item)
  }

  #ours(query: Query): Statement {
    const compiled: OwnedQuery = 'compile' in query ? query.compile() : query
    if (this.#over || compiled.owner !== this.#owner) throw new TypeError('the query was not built with this transaction, or it is over')
    return statement(compiled.sql, compiled.parameters, compiled.role)
  }

  async #read(read: Statement): Promise<pg.QueryResult> {
    this.#inside()
    const result = (this.#opened ? this.#send([read]) : this.#open([read]))[0] as Promise<pg.QueryResult>
    await this.#opened // first: a replay outranks a statement that fails because it ran before
    return result
  }

  async #last<R>(read: Statement): Promise<R[]> {
    this.#inside()
    if (!this.#readOnly) throw new TypeError('a mutation commits behind its writes')
    const both = [read, statement('commit')]
    const [result, commit] = this.#opened ? this.#send(both) : this.#open(both)
    this.#over = true
    this.#lastCommit = commit as Promise<pg.QueryResult>
    this.#sentCommit = true
    await this.#opened
    return (await (result as Promise<pg.QueryResult>)).rows as R[]
  }

  /** The first flight: BEGIN, claim, access, and whatever rides with it. */
  #open(more: readonly Statement[]): Promise<pg.QueryResult>[] {
    const { call, tenantId } = { call: this.#call, tenantId: this.#binding.tenantId }
    const { claim, principal } = call
    const shift = `${this.#db.clockShiftMs()} milliseconds`
    const opening = [
      ...forgetOldNames(this.#client),
      statement(`begin isolation level read committed${this.#readOnly ? ' read only' : ''}`),
      ...(claim ? [statement(claiming, [principal.id, call.method, claim.requestId, Buffer.from(claim.hash), tenantId], app)] : []),
      statement(sessionState, [principal.keyId, call.tenantId, shift], app),
    ]
    const results = this.#send([...opening, ...more])
    const settle = async () => {
      const answered = await Promise.all(results.slice(0, opening.length))
      const access = answered.at(-1)?.rows[0] as AccessRow | undefined
      if (!access) throw new Error('the database is not migrated: it has no row for the platform')
      call.judge(access) // before the answer of an earlier run is released
      if (claim) {
        const held = answered.at(-2)?.rows[0] as { hash: Buffer; done: boolean; answer: Buffer }
        if (!held.hash.equals(claim.hash)) throw new Fault('REQUEST_ID_REUSED', 'this request_id came with another body before')
        if (held.done) throw new Replay(held.answer)
      }
      return access
    }
    this.#opened = absorb(settle())
    return results.slice(opening.length)
  }

  #send(statements: readonly Statement[]): Promise<pg.QueryResult>[] {
    return sendAll(this.#client, () =>
      statements.map((each) => {
        if (each.role !== undefined && each.role !== this.#role) {
          this.#role = each.role
          void absorb(this.#query(statement(`set local role ${each.role}`)))
        }
        return this.#query(each)
      }),
    )
  }

  #query({ role, text, values, otherwise }: Statement): Promise<pg.QueryResult> {
    const name = this.#db.named && role !== undefined ? nameFor(this.#client, text) : undefined
    const result = this.#client.query(extended(text, values, name)).catch((error: Error) => {
      const lost = isLost(error) ? new RunAnew('connection lost', { cause: error }) : undefined
      this.#failed ??= lost ?? (sqlStateOf(error) === 'TX412' && otherwise ? otherwise : error)
      throw this.#failed // the first failure is the cause of all later ones
    })
    return absorb(result)
  }

  #work(access: AccessRow, answer: Uint8Array | undefined): Work {
    return {
      call: this.#call,
      binding: this.#binding,
      access,
      answer,
      clockShift: `${this.#db.clockShiftMs()} milliseconds`,
      writes: this.#writes,
      guards: this.#guards,
      events: this.#events,
      audits: this.#audits,
      moved: [this.#moved.access, this.#moved.session],
    }
  }
}
