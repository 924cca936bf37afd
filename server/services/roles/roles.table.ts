import type { ColumnType, Selectable } from 'kysely'

/** `t_<id>.roles`: roles are a tenant's own (ADR-003). */
export interface RolesTable {
  /** Kebab case, 1–63 characters. */
  key: string
  display_name: string
  description: string
  /** At least one. */
  permissions: string[]
  /** Made by the platform; cannot be deleted. */
  system: boolean
  template_version: number
  /** bigint, as text. */
  row_version: ColumnType<string, string | undefined, string>
  create_time: Date
  update_time: Date
}

export type RoleRow = Selectable<RolesTable>

declare module '../../db/tables.js' {
  interface TenantTables {
    roles: RolesTable
  }
}
