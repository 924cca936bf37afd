import { setTimeout as sleep } from 'node:timers/promises'
import { newId } from '../keys/ids.js'
import type { DbCall } from './call.js'
import type { Binding } from './closing.js'
import type { Database } from './database.js'
import { mayRunAnew, toFault } from './failures.js'
import { statement } from './statement.js'
import { runOnce } from './transaction.js'
import type { PlatformTx, TenantTx } from './tx.js'

const attemptsMax = 3

/** The schema and role of a tenant; it becomes part of SQL. */
export function schemaOf(tenantId: string): string {
  if (!/^tnt_[0-9a-z]{26}$/.test(tenantId)) throw new TypeError('bad tenant id')
  return `t_${tenantId.slice(4)}`
}

/**
 * Runs `fn` in one transaction bound to the tenant that the call names: reads and writes go to its schema under its own database role.
 * A mutation (the policy names an audit action) commits state, events, trail and idempotency record together. The answer of an earlier run of the
 * same request is returned instead, where the caller's rights still allow it. Runs `fn` anew, three times in all, where the data moved under it, so
 * `fn` has no effect but through `tx`.
 * @throws Fault; `call.signal.reason` where the deadline passes or the caller goes.
 */
export const inTenant = <A>(db: Database, call: DbCall, fn: (tx: TenantTx) => Promise<A>): Promise<A> =>
  admit(db, call, { tenantId: call.tenantId, schema: schemaOf(call.tenantId), making: [] }, fn)

/** The same for what belongs to no tenant: under the pseudo-tenant `platform`, with its own counter and trail. */
export const inPlatform = <A>(db: Database, call: DbCall, fn: (tx: PlatformTx) => Promise<A>): Promise<A> =>
  admit(db, call, { tenantId: 'platform', schema: undefined, making: [] }, fn)

/**
 * The same for the registry's side of a tenant, without its schema and role: for what drops those. Its revisions move in the counter alone, and it has
 * no trail.
 */
export const inRegistry = <A>(db: Database, call: DbCall, fn: (tx: PlatformTx) => Promise<A>): Promise<A> =>
  admit(db, call, { tenantId: call.tenantId, schema: undefined, making: [] }, fn)

/**
 * The same for a tenant that this call makes: `tx.tenantId` is its new id. `fn` collects the registry row first; role, schema and counter come
 * behind it, then the tenant's rows. A lost race for the slug does no DDL.
 */
export function inNewTenant<A>(db: Database, call: DbCall, fn: (tx: TenantTx) => Promise<A>): Promise<A> {
  const tenantId = newId('tnt')
  const making = [
    statement('select lib.make_tenant($1)', [tenantId], 'platform_app'),
    statement('insert into platform.tenant_counters (tenant_id) values ($1)', [tenantId], 'platform_app'),
  ]
  return db.onboarding('', call.signal, () => admit(db, call, { tenantId, schema: schemaOf(tenantId), making }, fn))
}

async function admit<A>(db: Database, call: DbCall, binding: Binding, fn: (tx: TenantTx) => Promise<A>): Promise<A> {
  // What runs anew has a connection of its own: whatever was shared with others, and slow or broken, is behind it.
  const run = () => withRetries(call, (attempt) => runOnce(db, call, binding, fn, attempt === 1))
  try {
    if (call.auditAction === '') return await run()
    const inLane = () => db.perTenant(binding.tenantId, call.signal, run)
    const { claim, principal } = call
    return await (claim ? db.perKey(`${principal.id} ${call.method} ${claim.requestId}`, call.signal, inLane) : inLane())
  } catch (error) {
    throw toFault(error)
  }
}

async function withRetries<A>(call: DbCall, run: (attempt: number) => Promise<A>): Promise<A> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run(attempt)
    } catch (error) {
      if (attempt === attemptsMax || call.signal.aborted || !mayRunAnew(error)) throw error
    }
    await sleep(10 + Math.random() * 190, undefined, { signal: call.signal }).catch(() => call.signal.throwIfAborted())
  }
}
