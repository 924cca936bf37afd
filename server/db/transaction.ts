import type { Kysely } from 'kysely'
import type { Result } from './batch.js'
import { builder, type OwnedQuery } from './builder.js'
import type { AccessRow, DbCall } from './call.js'
import { type Binding, closingStatements, type Work } from './closing.js'
import type { Database } from './database.js'
import { CommitUnknown, Replay, RunAnew } from './failures.js'
import { Link } from './link.js'
import { checkClaim, openingStatements } from './opening.js'
import { absorb } from './rejections.js'
import { expecting, mustFind, type Statement, statement } from './statement.js'
import type { PlatformTables, TenantTables } from './tables.js'
import type { NewEvent, Query, TenantTx } from './tx.js'

const app = 'platform_app'

/**
 * One attempt: a connection, one or two flights, COMMIT or nothing. A flight is sent in order without waiting; after a failure PostgreSQL refuses
 * the rest of it and answers COMMIT with ROLLBACK, so nothing is half done.
 */
export async function runOnce<A>(
  db: Database,
  call: DbCall,
  binding: Binding,
  fn: (tx: TenantTx) => Promise<A>,
  mayShare: boolean,
): Promise<A> {
  call.signal.throwIfAborted()
  const run = new Attempt(db, call, binding, mayShare)
  let give: (error: Error) => void = () => {}
  const given = new Promise<never>((_, reject) => {
    give = reject
  })
  given.catch(() => {})
  const abort = () => {
    run.abort()
    give(call.signal.reason as Error)
  }
  call.signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([run.perform(fn), given])
  } finally {
    call.signal.removeEventListener('abort', abort)
    run.end()
  }
}

class Attempt {
  readonly #db: Database
  readonly #call: DbCall
  readonly #binding: Binding
  readonly #owner = Symbol('transaction')
  readonly #link: Link
  readonly #mayShare: boolean
  readonly #readOnly: boolean
  readonly #writes: Statement[] = []
  readonly #guards: Statement[] = []
  readonly #events: NewEvent[] = []
  readonly #audits: string[] = []
  readonly #moved = { access: 0, session: 0 }
  #over = false
  /** Nothing more may be asked for; what was, still goes out. */
  #lastAsked = false
  #sentCommit = false
  #opened: Promise<AccessRow> | undefined
  #lastCommit: Promise<Result> | undefined

  constructor(db: Database, call: DbCall, binding: Binding, mayShare: boolean) {
    this.#db = db
    this.#link = new Link(db)
    this.#mayShare = mayShare
    this.#call = call
    this.#binding = binding
    this.#readOnly = call.auditAction === ''
  }

  abort() {
    this.#over = true
    this.#link.abort()
  }

  end() {
    this.#over = true
    this.#link.end()
  }

  async perform<A>(fn: (tx: TenantTx) => Promise<A>): Promise<A> {
    const { claim, validateOnly } = this.#call
    try {
      // a read may do without a connection of its own
      if (!this.#readOnly) await this.#link.borrow()
      const answer = await fn(this.#tx())
      this.#over = true
      if (!this.#opened) await this.#link.borrow()
      if (!this.#opened) void this.#open([])
      const access = (await this.#opened) as AccessRow
      if (this.#link.failure) throw this.#link.failure // the handler swallowed it
      if (validateOnly) {
        await this.#link.send([statement('rollback')])[0]
        return answer
      }
      if (this.#lastCommit) {
        await this.#mustCommit(this.#lastCommit)
        return answer
      }
      const closing = this.#readOnly ? [] : closingStatements(this.#work(access, claim?.encode(answer)))
      this.#sentCommit = true
      const results = await Promise.allSettled(this.#link.send([...closing, statement('commit')]))
      if (this.#link.failure) throw this.#link.failure
      await this.#mustCommit((results.at(-1) as PromiseFulfilledResult<Result>).value)
      if (this.#events.length > 0 || this.#moved.access + this.#moved.session > 0) this.#db.committed(this.#binding.tenantId)
      return answer
    } catch (error) {
      return await this.#recover<A>(error as Error)
    }
  }

  async #mustCommit(commit: Promise<Result> | Result) {
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
    await this.#link.rollback()
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
        return absorb(self.#first().then((access) => access.now))
      },
      get access() {
        return absorb(self.#first())
      },
      filled: (template, parameters) => ({ ...template, parameters, role: app, owner: this.#owner }),
      read: (query) => absorb(this.#read(this.#ours(query)).then(({ rows }) => rows)),
      last: (query) => absorb(this.#last(this.#ours(query), false)),
      lookUp: (query) => absorb(this.#last(this.#ours(query), this.#mayShare)),
      later: (query, rows, otherwise) => {
        this.#mutating()
        const write = this.#ours(query)
        this.#writes.push(rows === undefined ? write : expecting(write, rows, otherwise))
      },
      behindCounter: (query, rows) => this.#collect(this.#guards, expecting(this.#ours(query), rows)),
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
    if (this.#over || this.#lastAsked) throw new Error('the transaction is over')
  }

  #going() {
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

  #first(): Promise<AccessRow> {
    this.#inside()
    const open = () => {
      if (!this.#opened) void this.#open([])
      return this.#opened as Promise<AccessRow>
    }
    if (this.#link.open) return open()
    return this.#link.borrow().then(() => {
      this.#going()
      return open()
    })
  }

  async #read(read: Statement): Promise<Result> {
    this.#inside()
    if (!this.#link.open) {
      await this.#link.borrow()
      this.#going()
    }
    const result = (this.#opened ? this.#link.send([read]) : this.#open([read]))[0] as Promise<Result>
    await this.#opened // first: a replay outranks a statement that fails because it ran before
    return result
  }

  async #last<R>(read: Statement, mayShare: boolean): Promise<R[]> {
    this.#inside()
    if (!this.#readOnly) throw new TypeError('a mutation commits behind its writes')
    this.#lastAsked = true
    const both = [read, statement('commit')]
    const shared = mayShare && !this.#link.opening && !this.#call.validateOnly ? this.#share(both) : undefined
    if (!shared) {
      await this.#link.borrow()
      this.#going()
    }
    this.#over = true
    const [result, commit] = shared ? await shared : this.#opened ? this.#link.send(both) : this.#open(both)
    this.#lastCommit = commit as Promise<Result>
    this.#sentCommit = true
    await this.#opened
    return (await (result as Promise<Result>)).rows as R[]
  }

  #share(more: readonly Statement[]): Promise<Promise<Result>[]> | undefined {
    const opening = this.#opening()
    return this.#link.share([...opening, ...more])?.then((results) => this.#begun(opening.length, results))
  }

  #open(more: readonly Statement[]): Promise<Result>[] {
    const opening = this.#opening()
    return this.#begun(opening.length, this.#link.send([...opening, ...more]))
  }

  #begun(count: number, results: Promise<Result>[]): Promise<Result>[] {
    this.#opened = absorb(this.#judged(results.slice(0, count)))
    return results.slice(count)
  }

  #opening(): Statement[] {
    return openingStatements(this.#call, this.#binding.tenantId, `${this.#db.clockShiftMs()} milliseconds`)
  }

  async #judged(opening: Promise<Result>[]): Promise<AccessRow> {
    const { claim, judge } = this.#call
    const answered = await Promise.all(opening)
    const access = answered.at(-1)?.rows[0] as AccessRow | undefined
    if (!access) throw new Error('the database is not migrated: it has no row for the platform')
    judge(access) // before the answer of an earlier run is released
    if (claim) checkClaim(claim, answered)
    return access
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
