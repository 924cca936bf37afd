import { toFault } from '../../db/failures.js'
import { flight } from '../../db/flight.js'
import type { Pool } from '../../db/pool.js'
import { type Statement, statement } from '../../db/statement.js'

/** What is read of a key to recognise its holder; the rights themselves are read again in every transaction. */
export interface PlatformKey {
  readonly id: string
  readonly account_id: string
  readonly secret_hash: Buffer
  /** Neither revoked nor expired, its account active. */
  readonly valid: boolean
  /** Account's permissions ∩ the key's scopes. */
  readonly scopes: readonly string[]
}

const columns = `k.id, k.platform_service_account_id as account_id, k.secret_hash, a.key_valid as valid, a.scopes
  from platform.platform_api_keys k cross join lateral platform.access(k.id, '', $2) a`

/** undefined: there is no such key. */
export const findPlatformKey = (pool: Pool, keyId: string, shift: string) =>
  one(pool, statement(`select ${columns} where k.id = $1`, [keyId, shift]))

/** The first key, which has no locator of its own form where BOOTSTRAP_API_KEY set it. */
export const findBootstrapKey = (pool: Pool, shift: string) =>
  one(pool, statement(`select ${columns} where k.bootstrap = $1`, [true, shift]))

async function one(pool: Pool, query: Statement): Promise<PlatformKey | undefined> {
  const [found] = await flight(pool, 'platform_app', [query], { readOnly: true, timeoutMs: 2000 }).catch((err: unknown) => {
    throw toFault(err)
  })
  return found?.rows[0] as PlatformKey | undefined
}

export interface FirstKey {
  readonly accountId: string
  readonly keyId: string
  readonly secretHash: Buffer
  /** The entry for the platform's trail. */
  readonly audit: string
}

/**
 * Makes the first account and key, once ever: a marker row; several first starts make one.
 * @returns the first key, made now or before
 */
export async function insertFirstKey(
  pool: Pool,
  { accountId, keyId, secretHash, audit }: FirstKey,
): Promise<{ readonly secretHash: Buffer; readonly revoked: boolean }> {
  const results = await flight(pool, 'platform_app', [
    statement(`select from platform.tenant_counters where tenant_id = 'platform' for no key update`),
    statement(
      `insert into platform.platform_service_accounts (id, display_name, permissions)
      select $1, 'bootstrap', '{*}' where not exists (select from platform.platform_api_keys where bootstrap)`,
      [accountId],
    ),
    statement(
      `insert into platform.platform_api_keys (id, platform_service_account_id, display_name, secret_hash, scopes, bootstrap)
      select $2, $1, 'bootstrap', $3, '{*}', true where not exists (select from platform.platform_api_keys where bootstrap)`,
      [accountId, keyId, secretHash],
    ),
    // By the account, whose id is new each time: the key's own id is the same at every start.
    ...auditing(`exists (select from platform.platform_service_accounts where id = $1)`, accountId, audit),
    statement('select secret_hash, revoke_time is not null as revoked from platform.platform_api_keys where bootstrap'),
  ])
  const first = results.at(-1)?.rows[0] as { secret_hash: Buffer; revoked: boolean }
  return { secretHash: first.secret_hash, revoked: first.revoked }
}

export interface RecoveredKey extends FirstKey {
  readonly scopes: readonly string[]
  readonly goodForDays: number
}

/** A key of an account of its own; it does not touch the first one. */
export async function insertRecoveredKey(pool: Pool, key: RecoveredKey): Promise<void> {
  await flight(pool, 'platform_app', [
    statement(`select from platform.tenant_counters where tenant_id = 'platform' for no key update`),
    statement(`insert into platform.platform_service_accounts (id, display_name, permissions) values ($1, 'recovered', $2)`, [
      key.accountId,
      key.scopes,
    ]),
    statement(
      `insert into platform.platform_api_keys (id, platform_service_account_id, display_name, secret_hash, scopes, expire_time)
      values ($2, $1, 'recovered', $3, $4, now() + $5 * interval '1 day')`,
      [key.accountId, key.keyId, key.secretHash, key.scopes, key.goodForDays],
    ),
    ...auditing('$1::text is not null', key.keyId, key.audit),
  ])
}

/** The counter is locked already; if `condition` holds, the entry is the trail's next, and rights that were read before are void. */
const auditing = (condition: string, id: string, entry: string): Statement[] => [
  statement(
    `insert into platform.platform_audit (audit_seq, time, entry)
    select coalesce((select max(audit_seq) from platform.platform_audit), 0) + 1, clock_timestamp(), $2 where ${condition}`,
    [id, entry],
  ),
  statement(
    `update platform.tenant_counters set audit_seq = (select coalesce(max(audit_seq), 0) from platform.platform_audit),
      access_revision = access_revision + (${condition})::integer where tenant_id = 'platform'`,
    [id],
  ),
]

export interface NewPlatformKey {
  readonly accountId: string
  readonly keyId: string
  readonly displayName: string
  readonly secretHash: Buffer
  readonly scopes: readonly string[]
  /** null: the account's first key of development; all others expire. */
  readonly expireTime: Date | null
}

/** A key of an account of its own with just the permissions that its scopes name. */
export async function insertPlatformKey(pool: Pool, key: NewPlatformKey): Promise<void> {
  await flight(pool, 'platform_app', [
    statement('insert into platform.platform_service_accounts (id, display_name, permissions) values ($1, $2, $3)', [
      key.accountId,
      key.displayName,
      key.scopes,
    ]),
    statement(
      `insert into platform.platform_api_keys (id, platform_service_account_id, display_name, secret_hash, scopes, expire_time)
      values ($2, $1, $3, $4, $5, $6)`,
      [key.accountId, key.keyId, key.displayName, key.secretHash, key.scopes, key.expireTime],
    ),
  ])
}

/** From the commit on no mutation passes with it: the platform's revision of rights moves. */
export async function revokePlatformKey(pool: Pool, keyId: string): Promise<void> {
  await flight(pool, 'platform_app', [
    statement('update platform.platform_api_keys set revoke_time = now() where id = $1 and revoke_time is null', [keyId]),
    statement(`update platform.tenant_counters set access_revision = access_revision + 1 where tenant_id = 'platform'`),
  ])
}
