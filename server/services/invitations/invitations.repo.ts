import type { TenantTx } from '../../db/tx.js'
import type { InvitationRow } from './invitations.table.js'

export type NewInvitation = Pick<InvitationRow, 'id' | 'email' | 'role_keys' | 'owner' | 'invited_by' | 'create_time' | 'expire_time'>

export function insertInvitation(tx: TenantTx, row: NewInvitation): void {
  tx.later(tx.tenant.insertInto('invitations').values(row), 1)
}
