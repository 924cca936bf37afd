/** `platform.purges`: the tenants that were purged. */
export interface PurgesTable {
  tenant_id: string
  purge_time: Date
  /** What the platform's trail will say; null: it does, and the role is dropped. */
  entry: string | null
}

declare module '../../db/tables.js' {
  interface PlatformTables {
    purges: PurgesTable
  }
}
