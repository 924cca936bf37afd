import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import type { ResolveTenantRequest } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { findTenantBySlug } from './tenants.repo.js'
import { tenantToWire } from './tenants.wire.js'

export function resolveTenant(db: Database): Handler<ResolveTenantRequest, Tenant> {
  return ({ slug }, call) => inPlatform(db, call, async (tx) => tenantToWire(await findTenantBySlug(tx, slug), call))
}
