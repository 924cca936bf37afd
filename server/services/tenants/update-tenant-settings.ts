import type { TenantSettings, UpdateTenantSettingsRequest } from '../../../gen/customer/tenant/v1/tenant_settings.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import { appendEvent } from '../../outbox/append.js'
import type { Handler } from '../../rpc/call.js'
import { appendAudit } from '../../trail/append.js'
import { tenantSettingsUpdated } from './settings.events.js'
import { readSettings, updateSettings } from './settings.repo.js'
import { patchedSettings, settled } from './settings.rules.js'
import { patchOf, settingsToWire } from './settings.wire.js'
import { lockTenant } from './tenants.repo.js'

export function updateTenantSettings(db: Database): Handler<UpdateTenantSettingsRequest, TenantSettings> {
  return (request, call) =>
    inTenant(db, call, async (tx) => {
      // In this order: what waits for the lock reads behind it.
      const [, stored] = await Promise.all([lockTenant(tx), readSettings(tx)])
      const now = await tx.now
      const { next, changedFields } = patchedSettings(settled(stored, now), patchOf(request), { etag: request.etag, now })
      if (changedFields.length > 0) {
        updateSettings(tx, next)
        appendAudit(tx, { changedFields })
        appendEvent(tx, tenantSettingsUpdated(tx.tenantId, next, tx.call.principal, changedFields))
      }
      return settingsToWire(next)
    })
}
