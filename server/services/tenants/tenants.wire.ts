import { type Contacts, type Tenant, TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
import type { DbCall } from '../../db/call.js'
import type { TenantEventFields } from './tenants.events.js'
import { etagOf } from './tenants.rules.js'
import type { TenantRow } from './tenants.table.js'

const states: Record<TenantRow['state'], TenantState> = {
  ACTIVE: TenantState.TENANT_STATE_ACTIVE,
  SUSPENDED: TenantState.TENANT_STATE_SUSPENDED,
  DELETED: TenantState.TENANT_STATE_DELETED,
}

/** The state that a filter names; undefined: any. */
export const stateFilter = (state: TenantState): TenantRow['state'] | undefined =>
  (Object.keys(states) as TenantRow['state'][]).find((name) => states[name] === state)

const contactsToWire = (row: TenantRow): Contacts => ({
  ...(row.billing_email === null ? {} : { billingEmail: row.billing_email }),
  ...(row.security_email === null ? {} : { securityEmail: row.security_email }),
})

/** Row → message; `suspend_reason` is for platform principals alone. */
export function tenantToWire(row: TenantRow, { principal }: Pick<DbCall, 'principal'>): Tenant {
  return {
    id: row.id,
    slug: row.slug,
    displayName: row.display_name,
    state: states[row.state],
    plan: row.plan,
    region: row.region,
    labels: row.labels,
    contacts: contactsToWire(row),
    purgeHold: row.purge_hold,
    suspendReason: principal.type === 'platform-service-account' ? (row.suspend_reason ?? '') : '',
    schemaVersion: row.schema_version,
    etag: etagOf(row),
    accessRevision: row.access_revision,
    createTime: row.create_time,
    updateTime: row.update_time,
    suspendTime: row.suspend_time ?? undefined,
    deleteTime: row.delete_time ?? undefined,
    purgeTime: row.purge_time ?? undefined,
  }
}

export const tenantEventFields = (row: TenantRow): TenantEventFields => ({
  ...row,
  billing_email: row.billing_email ?? '',
  security_email: row.security_email ?? '',
})
