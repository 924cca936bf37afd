import type { PurgeTenantResponse } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { DbCall } from '../../db/call.js'
import type { Database } from '../../db/database.js'
import { sqlStateOf } from '../../db/failures.js'
import { inPlatform, inRegistry } from '../../db/in-tenant.js'
import { appendEvent } from '../../outbox/append.js'
import { Fault } from '../../rpc/fault.js'
import { auditEntry } from '../../trail/append.js'
import { closePurge, eraseTenant, lockPurge } from './purges.repo.js'
import { tenantPurged } from './tenants.events.js'
import { lockTenant } from './tenants.repo.js'
import type { TenantRow } from './tenants.table.js'
import { tenantEventFields } from './tenants.wire.js'

/**
 * The first of a purge's two transactions, under the tenant's counter: schema, registry row and stored answers go, slug and event stay. Roles belong to
 * the cluster and take a transaction of their own, `finishPurge`; until that has run, `platform.purges` keeps what it needs.
 * @param check throws the Fault where the tenant, locked now, may not be purged
 * @throws TENANT_BUSY where somebody holds a lock in the tenant's schema
 */
export async function purge(db: Database, call: DbCall, check: (row: TenantRow, now: Date) => void): Promise<PurgeTenantResponse> {
  try {
    return await inRegistry(db, call, async (tx) => {
      const row = await lockTenant(tx)
      const now = await tx.now
      check(row, now)
      eraseTenant(tx, row, now, auditEntry(call, 'platform', { target: `tenants/${row.id}` }))
      tx.invalidate('access')
      appendEvent(tx, tenantPurged({ ...tenantEventFields(row), purge_time: now }, call.principal))
      return { purgeTime: now }
    })
  } catch (err) {
    if (!(err instanceof Fault && sqlStateOf(err.cause) === '55P03')) throw err
    throw new Fault('TENANT_BUSY', "somebody works in the tenant's schema; try again", {}, { retryAfterMs: 1000, cause: err.cause })
  }
}

/** The second one, under the platform's counter: the role goes, and the platform's trail tells who purged. Does nothing where it was done. */
export const finishPurge = (db: Database, call: DbCall): Promise<void> =>
  inPlatform(db, { ...call, claim: undefined, judge: () => {} }, async (tx) => {
    const entry = await lockPurge(tx, call.tenantId)
    if (entry === undefined) return
    closePurge(tx, call.tenantId)
    tx.audit(entry)
  })
