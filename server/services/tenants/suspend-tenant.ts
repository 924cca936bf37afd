import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import type { SuspendTenantRequest } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { tenantSuspended } from './tenants.events.js'
import { lockTenant } from './tenants.repo.js'
import { suspend } from './tenants.rules.js'
import { recordTransition } from './transition.record.js'

export function suspendTenant(db: Database): Handler<SuspendTenantRequest, Tenant> {
  return ({ reason, etag }, call) =>
    inTenant(db, call, async (tx) => {
      const row = await lockTenant(tx)
      return recordTransition(tx, row, suspend(row, { etag, reason, now: await tx.now }), tenantSuspended, reason)
    })
}
