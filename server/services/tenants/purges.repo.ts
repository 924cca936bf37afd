import { sql } from 'kysely'
import { type Statement, statement } from '../../db/statement.js'
import type { PlatformTx } from '../../db/tx.js'
import type { TenantRow } from './tenants.table.js'
import './purges.table.js'

/**
 * All of a tenant but its role, its counter and its events, of which the parked ones go too. `lib.drop_tenant_schema` looks at the registry itself, so the row goes first; it waits
 * 200 ms for a lock, and stands before the counter.
 */
export function eraseTenant(tx: PlatformTx, { id, slug }: Pick<TenantRow, 'id' | 'slug'>, now: Date, entry: string): void {
  const { platform, call } = tx
  tx.later(platform.deleteFrom('tenants').where('id', '=', id), 1)
  tx.later(
    platform
      .insertInto('reserved_slugs')
      .values({ slug, reason: 'retired' })
      .onConflict((conflict) => conflict.column('slug').doNothing()),
  )
  tx.later(platform.insertInto('purges').values({ tenant_id: id, purge_time: now, entry }), 1)
  if (call.claim) {
    // The record of this very call holds nothing of the tenant, and answers its repeat.
    const own = sql`update platform.idempotency_keys set tenant_id = 'platform'
      where caller = ${call.principal.id} and method = ${call.method} and request_id = ${call.claim.requestId}`
    tx.later(own.compile(platform), 1)
  }
  tx.later(sql`delete from platform.idempotency_keys where tenant_id = ${id}`.compile(platform))
  for (const table of ['redrives', 'dead_letters'] as const) tx.later(platform.deleteFrom(table).where('tenant_id', '=', id))
  tx.later(sql`select lib.drop_tenant_schema(${id})`.compile(platform))
}

/** The entry of a purge whose role is still there, locked; undefined: there is none. */
export async function lockPurge(tx: PlatformTx, tenantId: string): Promise<string | undefined> {
  const row = await tx.platform
    .selectFrom('purges')
    .select('entry')
    .where('tenant_id', '=', tenantId)
    .where('entry', 'is not', null)
    .forUpdate()
    .executeTakeFirst()
  return row?.entry ?? undefined
}

/** Drops the role. */
export function closePurge(tx: PlatformTx, tenantId: string): void {
  tx.later(tx.platform.updateTable('purges').set({ entry: null }).where('tenant_id', '=', tenantId), 1)
  tx.later(sql`select lib.drop_tenant_role(${tenantId})`.compile(tx.platform))
}

/** Purges whose second transaction has not run. */
export const findUnfinished = (): Statement =>
  statement('select tenant_id as id from platform.purges where entry is not null order by tenant_id')

/** Tenants whose purge_time has come, by id. */
export const findDue = (clockShift: string, after: string, limit: number): Statement =>
  statement(
    'select id from platform.tenants where purge_time <= now() + $1::interval and not purge_hold and id > $2 order by id limit $3::integer',
    [clockShift, after, limit],
  )
