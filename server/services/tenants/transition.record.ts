import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import type { TenantTx } from '../../db/tx.js'
import { appendEvent, type PayloadEvent } from '../../outbox/append.js'
import { appendAudit } from '../../trail/append.js'
import type { TenantEventFields } from './tenants.events.js'
import { updateTenant } from './tenants.repo.js'
import type { TenantRow } from './tenants.table.js'
import { tenantEventFields, tenantToWire } from './tenants.wire.js'

/** Writes a change of state with its entry and event, and voids cached rights; a state that holds already (`next` undefined) writes nothing. */
export function recordTransition<T>(
  tx: TenantTx,
  row: TenantRow,
  next: TenantRow | undefined,
  event: (fields: TenantEventFields, actor: TenantTx['call']['principal']) => PayloadEvent<T>,
  reason?: string,
): Tenant {
  if (!next) return tenantToWire(row, tx.call)
  updateTenant(tx, next)
  tx.invalidate('access')
  appendAudit(tx, reason === undefined ? {} : { reason })
  appendEvent(tx, event(tenantEventFields(next), tx.call.principal))
  return tenantToWire(next, tx.call)
}
