import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import type { DeleteTenantRequest } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { tenantDeleted } from './tenants.events.js'
import { lockTenant } from './tenants.repo.js'
import { remove } from './tenants.rules.js'
import { recordTransition } from './transition.record.js'

export function deleteTenant(db: Database, { purgeAfterDays }: { readonly purgeAfterDays: number }): Handler<DeleteTenantRequest, Tenant> {
  return ({ etag }, call) =>
    inTenant(db, call, async (tx) => {
      const row = await lockTenant(tx)
      return recordTransition(tx, row, remove(row, { etag, now: await tx.now, purgeAfterDays }), tenantDeleted)
    })
}
