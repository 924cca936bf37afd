import { type Statement, statement } from '../db/statement.js'

/** Where these tenants stand: the last domain sequence, and the revisions that void cached rights and sessions. */
export const readCounters = (tenantIds: readonly string[]): Statement =>
  statement(
    `select tenant_id, domain_sequence, access_revision, session_epoch from platform.tenant_counters where tenant_id = any ($1::text[])`,
    [tenantIds],
  )

export interface CountersRow {
  readonly tenant_id: string
  /** Decimals. */
  readonly domain_sequence: string
  readonly access_revision: string
  readonly session_epoch: string
}
