import type { GetTenantSettingsRequest, TenantSettings } from '../../../gen/customer/tenant/v1/tenant_settings.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { lastReadSettings } from './settings.repo.js'
import { settled } from './settings.rules.js'
import { settingsToWire } from './settings.wire.js'

export function getTenantSettings(db: Database): Handler<GetTenantSettingsRequest, TenantSettings> {
  return (_, call) =>
    inTenant(db, call, async (tx) => {
      const { now } = tx
      return settingsToWire(settled(await lastReadSettings(tx), await now))
    })
}
