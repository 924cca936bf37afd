import type { TenantTx } from '../../db/tx.js'
import type { RoleRow } from './roles.table.js'

export type NewRole = Omit<RoleRow, 'row_version'>

export function insertRoles(tx: TenantTx, rows: readonly NewRole[]): void {
  tx.later(tx.tenant.insertInto('roles').values(rows), rows.length)
}
