import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import type { ResumeTenantRequest } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { tenantResumed } from './tenants.events.js'
import { lockTenant } from './tenants.repo.js'
import { resume } from './tenants.rules.js'
import { recordTransition } from './transition.record.js'

export function resumeTenant(db: Database): Handler<ResumeTenantRequest, Tenant> {
  return ({ reason, etag }, call) =>
    inTenant(db, call, async (tx) => {
      const row = await lockTenant(tx)
      return recordTransition(tx, row, resume(row, { etag, now: await tx.now }), tenantResumed, reason)
    })
}
