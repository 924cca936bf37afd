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
    const { contacts } = request
    const asked: TenantPatch = {
      display_name: request.displayName,
      plan: request.plan,
      purge_hold: request.purgeHold,
      labels: request.labels,
      billing_email: contacts?.billingEmail,
      security_email: contacts?.securityEmail,
    }
    const named = namedFields(asked)
    return inTenant(db, call, async (tx) => {
      const row = await lockTenant(tx)
      const { scopes } = await tx.access
      // A tenant's role opens nothing of the platform, whatever it contains.
      const setsAll = call.principal.tenantId === '' && (scopes.includes('platform-manage-tenants') || scopes.includes('*'))
      const foreign = setsAll ? undefined : named.find((field) => !ownFields.has(field))
      if (foreign) throw new Fault('FIELD_NOT_ALLOWED', `${foreign} is not for this caller to set`, { field: foreign })
      if (named.length === 0) throw new Fault('UPDATE_EMPTY', 'the update names no field')
      const patch: TenantPatch = {
        ...asked,
        plan: request.plan === undefined ? undefined : chosen('plan', request.plan, plans),
        billing_email: mailbox('contacts.billing_email', contacts?.billingEmail),
        security_email: mailbox('contacts.security_email', contacts?.securityEmail),
      }
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
