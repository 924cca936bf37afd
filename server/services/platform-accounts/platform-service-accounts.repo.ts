import { sql } from 'kysely'
import type { PlatformTx } from '../../db/tx.js'
import { Fault } from '../../rpc/fault.js'
import type { PlatformServiceAccountState } from './platform-accounts.rules.js'
import type { PlatformServiceAccountRow } from './platform-accounts.table.js'

const select = (tx: PlatformTx) =>
  tx.platform
    .selectFrom('platform_service_accounts as a')
    .select([
      'a.id',
      'a.display_name',
      'a.permissions',
      'a.row_version',
      'a.create_time',
      'a.update_time',
      'a.suspend_time',
      'a.delete_time',
    ])

const notFound = () => new Fault('PLATFORM_SERVICE_ACCOUNT_NOT_FOUND', 'there is no such platform service account')

/** The last read of a read-only call. */
export async function readAccount(tx: PlatformTx, id: string): Promise<PlatformServiceAccountRow> {
  const [row] = await tx.lookUp(select(tx).where('a.id', '=', id))
  if (!row) throw notFound()
  return row
}

/** Locked until the transaction ends; other writers of it wait. */
export async function lockAccount(tx: PlatformTx, id: string): Promise<PlatformServiceAccountRow> {
  const row = await select(tx).where('a.id', '=', id).forNoKeyUpdate().executeTakeFirst()
  if (!row) throw notFound()
  return row
}

export function insertAccount(tx: PlatformTx, row: PlatformServiceAccountRow): void {
  tx.later(tx.platform.insertInto('platform_service_accounts').values(row), 1)
}

export function updateAccount(tx: PlatformTx, { id, create_time: _, ...set }: PlatformServiceAccountRow): void {
  tx.later(tx.platform.updateTable('platform_service_accounts').set(set).where('id', '=', id), 1)
}

/** Where a page ended. `at` is create_time as the database writes it, with microseconds. */
export interface Position {
  readonly at: string
  readonly id: string
}

export interface AccountFilter {
  readonly state: PlatformServiceAccountState | undefined
  readonly showDeleted: boolean
}

/** The newest first; one row more than `limit` tells whether there is a next page. */
export async function listAccounts(tx: PlatformTx, { state, showDeleted }: AccountFilter, after: Position | undefined, limit: number) {
  let query = select(tx).select(sql<string>`${sql.ref('a.create_time')}::text`.as('at'))
  if (!showDeleted || (state && state !== 'DELETED')) query = query.where('a.delete_time', 'is', null)
  if (state === 'DELETED') query = query.where('a.delete_time', 'is not', null)
  if (state === 'SUSPENDED') query = query.where('a.suspend_time', 'is not', null)
  if (state === 'ACTIVE') query = query.where('a.suspend_time', 'is', null)
  if (after) {
    query = query.where(sql<boolean>`(${sql.ref('a.create_time')}, ${sql.ref('a.id')}) < (${after.at}::timestamptz, ${after.id})`)
  }
  return await tx.last(
    query
      .orderBy('a.create_time', 'desc')
      .orderBy('a.id', 'desc')
      .limit(limit + 1),
  )
}
