import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import type { CreateTenantRequest } from '../../../gen/customer/tenant/v1/tenant_service.js'
import { canonicalEmail } from '../../contract/canonical.js'
import type { Database } from '../../db/database.js'
import { inNewTenant } from '../../db/in-tenant.js'
import { newId } from '../../keys/ids.js'
import { appendEvent } from '../../outbox/append.js'
import type { Handler } from '../../rpc/call.js'
import { fieldInvalid } from '../../rpc/fault.js'
import { appendAudit } from '../../trail/append.js'
import { invitationCreated } from '../invitations/invitations.events.js'
import { insertInvitation } from '../invitations/invitations.repo.js'
import { ownerInvitation } from '../invitations/invitations.rules.js'
import { insertRoles } from '../roles/roles.repo.js'
import { defaultRoles } from '../roles/roles.rules.js'
import { tenantCreated } from './tenants.events.js'
import { insertTenant, slugHolder } from './tenants.repo.js'
import { chosen, mailbox, newTenantRow, slugFault, type TenantOptions } from './tenants.rules.js'
import { tenantEventFields, tenantToWire } from './tenants.wire.js'

export function createTenant(db: Database, { plans, regions, schemaVersion }: TenantOptions): Handler<CreateTenantRequest, Tenant> {
  return (request, call) => {
    const plan = chosen('plan', request.plan, plans)
    const region = chosen('region', request.region, regions)
    const email = canonicalEmail(request.ownerEmail)
    if (!email) throw fieldInvalid('owner_email', 'must be a mail address')
    const billing_email = mailbox('contacts.billing_email', request.contacts?.billingEmail) ?? null
    const security_email = mailbox('contacts.security_email', request.contacts?.securityEmail) ?? null
    return inNewTenant(db, call, async (tx) => {
      call.log['tenant'] = tx.tenantId
      const holder = await slugHolder(tx, request.slug)
      if (holder) throw slugFault(holder)
      const now = await tx.now
      const { slug, displayName: display_name, labels } = request
      const row = newTenantRow(
        { id: tx.tenantId, slug, display_name, plan, region, labels, billing_email, security_email },
        now,
        schemaVersion,
      )
      const actor = tx.call.principal
      const invitation = ownerInvitation(newId('inv'), email, actor.id, now)
      insertTenant(tx, row)
      insertRoles(tx, defaultRoles(now))
      insertInvitation(tx, invitation)
      appendAudit(tx, { target: `invitations/${invitation.id}` })
      appendEvent(tx, tenantCreated(tenantEventFields(row), actor))
      appendEvent(tx, invitationCreated(tx.tenantId, invitation, actor))
      const tenant = tenantToWire(row, call)
      return call.validateOnly ? { ...tenant, id: '', etag: '' } : tenant
    })
  }
}
