import type { ColumnType, Selectable } from 'kysely'

/** `t_<id>.invitations`. An open one has neither accept_time nor revoke_time, and expire_time lies ahead. */
export interface InvitationsTable {
  id: string
  email: string
  role_keys: string[]
  /** Invites the tenant's owner. */
  owner: boolean
  /** The principal's id. */
  invited_by: string
  /** SHA-256 of the secret; null until it is sent. */
  secret_hash: Buffer | null
  /** bigint, as text. */
  row_version: ColumnType<string, string | undefined, string>
  create_time: Date
  expire_time: Date
  accept_time: Date | null
  revoke_time: Date | null
}

export type InvitationRow = Selectable<InvitationsTable>

declare module '../../db/tables.js' {
  interface TenantTables {
    invitations: InvitationsTable
  }
}
