/**
 * The columns of all tables. Each room adds its own in `<noun>.table.ts`:
 * `declare module '../../db/tables.js' { interface PlatformTables { tenants: TenantsTable } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: rooms merge into it
export interface PlatformTables {}
// biome-ignore lint/suspicious/noEmptyInterface: rooms merge into it
export interface TenantTables {}
