import { type ListTenantsRequest, type ListTenantsResponse, TenantOrder } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Ring } from '../../keys/ring.js'
import { cutPage, pageSizeOf } from '../../lists/keyset.js'
import { openPageToken, sealPageToken } from '../../lists/page-token.js'
import type { Handler } from '../../rpc/call.js'
import { fieldInvalid } from '../../rpc/fault.js'
import { listTenants as list } from './tenants.repo.js'
import type { TenantFilter } from './tenants.rules.js'
import { stateFilter, tenantToWire } from './tenants.wire.js'

const orders: Record<Exclude<TenantOrder, TenantOrder.UNRECOGNIZED>, TenantFilter['order']> = {
  [TenantOrder.TENANT_ORDER_UNSPECIFIED]: 'create_time_desc',
  [TenantOrder.TENANT_ORDER_CREATE_TIME_DESC]: 'create_time_desc',
  [TenantOrder.TENANT_ORDER_CREATE_TIME_ASC]: 'create_time_asc',
  [TenantOrder.TENANT_ORDER_SLUG_ASC]: 'slug_asc',
}

export function listTenants(db: Database, ring: Ring, now: () => Date): Handler<ListTenantsRequest, ListTenantsResponse> {
  return (request, call) => {
    if (request.labelValue !== '' && request.labelKey === '') throw fieldInvalid('label_value', 'goes with label_key')
    const { pageSize, pageToken, orderBy, state, ...filters } = request
    const filter: TenantFilter = {
      ...filters,
      state: stateFilter(state),
      order: orders[orderBy as keyof typeof orders],
      afterCreateTime: filters.afterCreateTime,
      beforeCreateTime: filters.beforeCreateTime,
    }
    const query = { principalId: call.principal.id, method: call.method, tenantId: '', filter: { ...filters, state }, order: filter.order }
    return inPlatform(db, call, async (tx) => {
      const [at, slug, id] = openPageToken(ring, query, pageToken, now()) ?? []
      const after = at !== undefined && slug !== undefined && id !== undefined ? { at, slug, id } : undefined
      const size = pageSizeOf(pageSize)
      const { rows, next } = cutPage(await list(tx, filter, after, size), size, (row) => [row.at, row.slug, row.id])
      return {
        tenants: rows.map((row) => tenantToWire(row, call)),
        nextPageToken: next ? sealPageToken(ring, query, next, now()) : '',
      }
    })
  }
}
