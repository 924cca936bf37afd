import type { ColumnType, Generated, GeneratedAlways, JSONColumnType, Selectable } from 'kysely'

/** `platform.tenants`: the registry. */
export interface TenantsTable {
  id: string
  slug: string
  display_name: string
  plan: string
  region: string
  cell: Generated<number>
  schema_name: GeneratedAlways<string>
  schema_version: Generated<number>
  labels: JSONColumnType<Record<string, string>>
  billing_email: string | null
  security_email: string | null
  purge_hold: Generated<boolean>
  suspend_reason: string | null
  state: GeneratedAlways<'ACTIVE' | 'SUSPENDED' | 'DELETED'>
  /** bigint, as text. */
  row_version: ColumnType<string, string | undefined, string>
  create_time: Date
  update_time: Date
  suspend_time: Date | null
  delete_time: Date | null
  purge_time: Date | null
  purge_start_time: Date | null
}

/** `platform.reserved_slugs`: what nobody can take. */
export interface ReservedSlugsTable {
  slug: string
  reason: 'reserved' | 'retired'
}

/** A tenant as all of this room's functions know it: its row, with its revision of rights. */
export type TenantRow = Omit<Selectable<TenantsTable>, 'cell' | 'schema_name' | 'purge_start_time'> & { access_revision: string }

declare module '../../db/tables.js' {
  interface PlatformTables {
    tenants: TenantsTable
    reserved_slugs: ReservedSlugsTable
  }
}
