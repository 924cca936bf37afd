import { TenantServiceService } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import type { Ring } from '../../keys/ring.js'
import type { Layer } from '../../rpc/call.js'
import { implement } from '../../rpc/kernel.js'
import { batchGetTenants } from './batch-get-tenants.js'
import { createTenant } from './create-tenant.js'
import { deleteTenant } from './delete-tenant.js'
import { getTenant } from './get-tenant.js'
import { getTenantSettings } from './get-tenant-settings.js'
import { listTenants } from './list-tenants.js'
import { purgeTenant } from './purge-tenant.js'
import { resolveTenant } from './resolve-tenant.js'
import { resumeTenant } from './resume-tenant.js'
import { suspendTenant } from './suspend-tenant.js'
import type { TenantOptions } from './tenants.rules.js'
import { undeleteTenant } from './undelete-tenant.js'
import { updateTenant } from './update-tenant.js'
import { updateTenantSettings } from './update-tenant-settings.js'

export interface TenantsDeps {
  readonly db: Database
  readonly ring: Ring
  readonly now: () => Date
  readonly options: TenantOptions
}

export const tenantsService = ({ db, ring, now, options }: TenantsDeps, layers: readonly Layer[]) =>
  implement(
    TenantServiceService,
    {
      createTenant: createTenant(db, options),
      getTenant: getTenant(db),
      batchGetTenants: batchGetTenants(db),
      listTenants: listTenants(db, ring, now),
      resolveTenant: resolveTenant(db),
      updateTenant: updateTenant(db, options),
      suspendTenant: suspendTenant(db),
      resumeTenant: resumeTenant(db),
      deleteTenant: deleteTenant(db, options),
      undeleteTenant: undeleteTenant(db),
      purgeTenant: purgeTenant(db, options),
      getTenantSettings: getTenantSettings(db),
      updateTenantSettings: updateTenantSettings(db),
    },
    layers,
  )
