import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import type { GetTenantRequest } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { readTenant } from './tenants.repo.js'
import { tenantToWire } from './tenants.wire.js'

export function getTenant(db: Database): Handler<GetTenantRequest, Tenant> {
  return (_, call) => inTenant(db, call, async (tx) => tenantToWire(await readTenant(tx), call))
}
