import type { Compilable, CompiledQuery, DeleteResult, InsertResult, Kysely, UpdateResult } from 'kysely'
import type { Fault } from '../rpc/fault.js'
import type { AccessRow, DbCall } from './call.js'
import type { PlatformTables, TenantTables } from './tables.js'

export type Query = CompiledQuery | Compilable<unknown>
/** No SELECT, and no RETURNING: its `executeTakeFirst` would give a row. */
export type Write = CompiledQuery | (Compilable<unknown> & { executeTakeFirst(): Promise<InsertResult | UpdateResult | DeleteResult> })

export interface NewEvent {
  readonly stream: 'domain' | 'security' | 'platform'
  /** CloudEvents type. */
  readonly type: string
  /** '' where the event is about the tenant itself. */
  readonly subject: string
  /** JSON text, stored and sent as it is. */
  readonly payload: string
}

/** One transaction. Awaited queries are sent at once; all else leaves with COMMIT, in one flight, unseen by reads. */
export interface PlatformTx {
  readonly call: DbCall
  /** The tenant, or `platform`. */
  readonly tenantId: string
  /** Platform tables, under the role `platform_app`. */
  readonly platform: Kysely<PlatformTables>
  /** The database's time in the first flight. */
  readonly now: Promise<Date>
  /** What the first flight read about caller and tenant. */
  readonly access: Promise<AccessRow>
  /** A query of platform tables that was compiled before (`compiledOnce`), as this transaction's own. */
  filled<R>(template: CompiledQuery<R>, parameters: readonly unknown[]): CompiledQuery<R>
  /** A read by such a query. */
  read<R>(query: CompiledQuery<R>): Promise<R[]>
  /** The last read of a read-only call: COMMIT travels with it. */
  last<R>(query: Compilable<R> | CompiledQuery<R>): Promise<R[]>
  /** The same for a row that an index finds, on a connection that other calls may share meanwhile. */
  lookUp<R>(query: Compilable<R> | CompiledQuery<R>): Promise<R[]>
  /** A write; any other number of rows than `rows` fails the transaction with `otherwise`. */
  later(query: Write, rows?: number, otherwise?: Fault): void
  /** As `later`, but behind the counter: for the tenant's row of `tenant_state` alone, which the kernel writes there; before it the two would deadlock. */
  behindCounter(query: Write, rows: number): void
  /** A rule over more than one row, asked behind the tenant's counter, where all that committed before is seen: it must find a row. */
  guard(query: Query, otherwise: Fault): void
  emit(event: NewEvent): void
  /** An entry for the trail, JSON text. */
  audit(entry: string): void
  /** Voids cached rights or sessions of the tenant; nothing else moves a revision. */
  invalidate(what: 'access' | 'session'): void
}

export interface TenantTx extends PlatformTx {
  /** The tenant's schema, under the tenant's own role. */
  readonly tenant: Kysely<TenantTables>
}
