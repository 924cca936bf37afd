import type { BatchGetTenantsRequest, BatchGetTenantsResponse } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { readTenants } from './tenants.repo.js'
import { inOrderOf } from './tenants.rules.js'
import { tenantToWire } from './tenants.wire.js'

export function batchGetTenants(db: Database): Handler<BatchGetTenantsRequest, BatchGetTenantsResponse> {
  return ({ tenantIds }, call) =>
    inPlatform(db, call, async (tx) => {
      const rows = inOrderOf(tenantIds, await readTenants(tx, tenantIds))
      return { tenants: rows.map((row) => tenantToWire(row, call)) }
    })
}
