import type pg from 'pg'
import { schemaOf } from './written.js'

/** Makes a deleted tenant look as if DeleteTenant had been called so many hours ago. */
export const deletedBefore = (superuser: pg.Pool, tenantId: string, hours: number) =>
  superuser.query(`update platform.tenants set delete_time = now() - $2::integer * interval '1 hour' where id = $1`, [tenantId, hours])

/** What stands of a tenant: all of it before its purge, afterwards its counter, its events and what tells that it was purged. */
export async function standingOf(superuser: pg.Pool, tenantId: string) {
  const { rows } = await superuser.query(
    `select (select count(*)::int from platform.tenants where id = $1) as tenants,
      (select count(*)::int from pg_namespace where nspname = $2) as schemas,
      (select count(*)::int from pg_roles where rolname = $2) as roles,
      (select count(*)::int from platform.idempotency_keys where tenant_id = $1) as records,
      (select count(*)::int from platform.tenant_counters where tenant_id = $1) as counters,
      (select count(*)::int from platform.events where tenant_id = $1 and type = 'com.enterprise.customer.tenant.purged.v1') as purged,
      (select count(*)::int from platform.platform_audit where entry like '%"target":"tenants/' || $1 || '"%') as entries,
      (select count(*)::int from platform.purges where tenant_id = $1 and entry is null) as finished`,
    [tenantId, schemaOf(tenantId)],
  )
  return rows[0] as Record<string, number>
}

export const whole = { tenants: 1, schemas: 1, roles: 1, counters: 1, purged: 0, entries: 0, finished: 0 }
export const gone = { tenants: 0, schemas: 0, roles: 0, records: 0, counters: 1, purged: 1, entries: 1, finished: 1 }
