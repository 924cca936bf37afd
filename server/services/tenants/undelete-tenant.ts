import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import type { UndeleteTenantRequest } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { tenantRestored } from './tenants.events.js'
import { lockTenant } from './tenants.repo.js'
import { undelete } from './tenants.rules.js'
import { recordTransition } from './transition.record.js'

export function undeleteTenant(db: Database): Handler<UndeleteTenantRequest, Tenant> {
  return ({ reason, etag }, call) =>
    inTenant(db, call, async (tx) => {
      const row = await lockTenant(tx)
      return recordTransition(tx, row, undelete(row, { etag, now: await tx.now }), tenantRestored, reason)
    })
}
