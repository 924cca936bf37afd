import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import type { UpdateTenantRequest } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import { appendEvent } from '../../outbox/append.js'
import type { Handler } from '../../rpc/call.js'
import { Fault } from '../../rpc/fault.js'
import { appendAudit } from '../../trail/append.js'
import { tenantUpdated } from './tenants.events.js'
import { lockTenant, updateTenant as update } from './tenants.repo.js'
import { chosen, mailbox, namedFields, patched, type TenantOptions, type TenantPatch } from './tenants.rules.js'
import { tenantEventFields, tenantToWire } from './tenants.wire.js'

/** What a tenant's own manager may set; the rest is the platform's. */
const ownFields = new Set(['display_name'])

export function updateTenant(db: Database, { plans }: Pick<TenantOptions, 'plans'>): Handler<UpdateTenantRequest, Tenant> {
  return (request, call) => {
    const patch: TenantPatch = {
      display_name: request.displayName,
      plan: request.plan === undefined ? undefined : chosen('plan', request.plan, plans),
      purge_hold: request.purgeHold,
      labels: request.labels,
      billing_email: mailbox('contacts.billing_email', request.contacts?.billingEmail),
      security_email: mailbox('contacts.security_email', request.contacts?.securityEmail),
    }
    const named = namedFields(patch)
    return inTenant(db, call, async (tx) => {
      const scopes = (await tx.access).scopes
      const foreign = named.find((field) => !ownFields.has(field))
      if (foreign && !scopes.includes('platform-manage-tenants') && !scopes.includes('*')) {
        throw new Fault('FIELD_NOT_ALLOWED', `${foreign} is not for this caller to set`, { field: foreign })
      }
      if (named.length === 0) throw new Fault('UPDATE_EMPTY', 'the update names no field')
      const row = await lockTenant(tx)
      const { next, changedFields } = patched(row, patch, { etag: request.etag, now: await tx.now })
      if (changedFields.length > 0) {
        update(tx, next)
        appendAudit(tx, { changedFields })
        appendEvent(tx, tenantUpdated(tenantEventFields(next), tx.call.principal, changedFields))
      }
      return tenantToWire(next, call)
    })
  }
}
