import { type RawBuilder, sql } from 'kysely'
import type { PlatformTx } from '../../db/tx.js'
import { Fault } from '../../rpc/fault.js'
import { everything, lastingMs, managing, type PlatformApiKeyState } from './platform-accounts.rules.js'
import type { PlatformApiKeyRow } from './platform-accounts.table.js'
import type { Position } from './platform-service-accounts.repo.js'

const select = (tx: PlatformTx) =>
  tx.platform
    .selectFrom('platform_api_keys as k')
    .select(['k.id', 'k.platform_service_account_id', 'k.display_name', 'k.scopes', 'k.create_time', 'k.expire_time', 'k.revoke_time'])

/** Locked until the transaction ends, with the permissions of its account. */
export async function lockKey(tx: PlatformTx, id: string): Promise<{ key: PlatformApiKeyRow; permissions: string[] }> {
  const row = await select(tx)
    .innerJoin('platform_service_accounts as a', 'a.id', 'k.platform_service_account_id')
    .select('a.permissions')
    .where('k.id', '=', id)
    .forNoKeyUpdate('k')
    .executeTakeFirst()
  if (!row) throw new Fault('PLATFORM_API_KEY_NOT_FOUND', 'there is no such platform API key')
  const { permissions, ...key } = row
  return { key, permissions }
}

export function insertKey(tx: PlatformTx, row: PlatformApiKeyRow, secretHash: Buffer): void {
  tx.later(tx.platform.insertInto('platform_api_keys').values({ ...row, secret_hash: secretHash }), 1)
}

export function revokeKey(tx: PlatformTx, id: string, now: Date): void {
  tx.later(tx.platform.updateTable('platform_api_keys').set({ revoke_time: now }).where('id', '=', id), 1)
}

export function revokeKeysOf(tx: PlatformTx, accountId: string, now: Date): void {
  const keys = tx.platform.updateTable('platform_api_keys').set({ revoke_time: now })
  tx.later(keys.where('platform_service_account_id', '=', accountId).where('revoke_time', 'is', null))
}

export interface KeyFilter {
  /** '': of all accounts. */
  readonly accountId: string
  readonly state: PlatformApiKeyState | undefined
  readonly showDeleted: boolean
  /** By which a key is expired or not. */
  readonly now: Date
}

/** The newest first; one row more than `limit` tells whether there is a next page. */
export async function listKeys(tx: PlatformTx, filter: KeyFilter, after: Position | undefined, limit: number) {
  const { accountId, state, showDeleted, now } = filter
  let query = select(tx).select(sql<string>`${sql.ref('k.create_time')}::text`.as('at'))
  if (!showDeleted || (state && state !== 'REVOKED')) query = query.where('k.revoke_time', 'is', null)
  if (accountId) query = query.where('k.platform_service_account_id', '=', accountId)
  if (state === 'REVOKED') query = query.where('k.revoke_time', 'is not', null)
  if (state === 'EXPIRED') query = query.where('k.expire_time', '<=', now)
  if (state === 'ACTIVE') query = query.where(goodAt(now))
  if (after) {
    query = query.where(sql<boolean>`(${sql.ref('k.create_time')}, ${sql.ref('k.id')}) < (${after.at}::timestamptz, ${after.id})`)
  }
  return await tx.last(
    query
      .orderBy('k.create_time', 'desc')
      .orderBy('k.id', 'desc')
      .limit(limit + 1),
  )
}

const goodAt = (time: Date): RawBuilder<boolean> => sql`coalesce(${sql.ref('k.expire_time')} > ${time}, true)`

/** Keys that open platform-manage-accounts now and still do so at that time, if nobody takes it from them. */
const managers = (tx: PlatformTx, until: Date) => {
  const names = sql<string[]>`array[${everything}, ${managing}]::text[]`
  return tx.platform
    .selectFrom('platform_api_keys as k')
    .innerJoin('platform_service_accounts as a', 'a.id', 'k.platform_service_account_id')
    .select('k.id')
    .where('a.suspend_time', 'is', null)
    .where('a.delete_time', 'is', null)
    .where('k.revoke_time', 'is', null)
    .where(goodAt(until))
    .where(sql<boolean>`${sql.ref('a.permissions')} && ${names}`)
    .where(sql<boolean>`${sql.ref('k.scopes')} && ${names}`)
}

/**
 * Whatever takes rights away leaves somebody who can give them: by a key that is good for another week, unless there is none such even now; then by
 * one that is good now, as the caller's own is. Asked behind the counter, so it holds against whatever committed meanwhile.
 */
export async function keepManager(tx: PlatformTx, now: Date): Promise<void> {
  const lasting = new Date(now.getTime() + lastingMs)
  const found = await managers(tx, lasting).limit(1).executeTakeFirst()
  const fault = new Fault('LAST_PLATFORM_MANAGER', `nobody would be left who holds ${managing} by a key that lasts`)
  tx.guard(managers(tx, found ? lasting : now), fault)
}
