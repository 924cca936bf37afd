/** `platform.tenant_counters`: one row per tenant, one for the pseudo-tenant `platform`. All bigint, as text. */
export interface TenantCountersTable {
  tenant_id: string
  domain_sequence: string
  security_sequence: string
  platform_sequence: string
  audit_seq: string
  access_revision: string
  session_epoch: string
}

declare module './tables.js' {
  interface PlatformTables {
    tenant_counters: TenantCountersTable
  }
}
