import type { Selectable } from 'kysely'

/** `t_<id>.tenant_state`, one row: of its settings null is the platform's default. Its revisions are the kernel's. */
export interface TenantStateTable {
  password_min_length: number | null
  session_idle_seconds: number | null
  session_absolute_seconds: number | null
  mfa_required: boolean | null
  retention_audit_days: number | null
  /** In force until `retention_effective_time`. */
  retention_audit_days_before: number | null
  retention_effective_time: Date | null
  /** bigint, as text. */
  settings_version: string | null
  settings_update_time: Date | null
}

export type StoredSettings = Selectable<TenantStateTable>

declare module '../../db/tables.js' {
  interface TenantTables {
    tenant_state: TenantStateTable
  }
}
