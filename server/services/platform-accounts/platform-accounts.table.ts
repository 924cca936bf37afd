import type { ColumnType, Generated, Selectable } from 'kysely'

/** `platform.platform_service_accounts`: tools and operators of the platform. */
export interface PlatformServiceAccountsTable {
  id: string
  display_name: string
  /** Permission names; `*` for the holder of the first key alone. */
  permissions: string[]
  row_version: ColumnType<string, string | undefined, string>
  create_time: Generated<Date>
  update_time: Generated<Date>
  suspend_time: Date | null
  delete_time: Date | null
}

/** `platform.platform_api_keys`. A key may do what its account may, of that what its scopes name. */
export interface PlatformApiKeysTable {
  id: string
  platform_service_account_id: string
  display_name: string
  /** SHA-256 of the whole key. */
  secret_hash: Buffer
  scopes: string[]
  /** The first key; one row ever. */
  bootstrap: Generated<boolean>
  create_time: Generated<Date>
  /** null for the first key alone. */
  expire_time: Date | null
  revoke_time: Date | null
}

export type PlatformServiceAccountRow = Selectable<PlatformServiceAccountsTable>
/** A key as all of this room's functions know it; its hash is for the verifier alone. */
export type PlatformApiKeyRow = Omit<Selectable<PlatformApiKeysTable>, 'secret_hash' | 'bootstrap'>

declare module '../../db/tables.js' {
  interface PlatformTables {
    platform_service_accounts: PlatformServiceAccountsTable
    platform_api_keys: PlatformApiKeysTable
  }
}
