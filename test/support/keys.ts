import type pg from 'pg'
import { newId } from '../../server/keys/ids.js'
import { hashSecret, makeSecret } from '../../server/keys/secret.js'
import { insertPlatformKey, revokePlatformKey } from '../../server/services/platform-accounts/platform-accounts.repo.js'

export interface TestKey {
  readonly key: string
  readonly keyId: string
  readonly accountId: string
  revoke(): Promise<void>
}

/** A platform key with these scopes, through the room's repo. */
export async function makeKey(pool: pg.Pool, scopes: readonly string[], expireTime: Date | null = null): Promise<TestKey> {
  const keyId = newId('pky')
  const accountId = newId('psa')
  const key = makeSecret('ck', '', keyId)
  await insertPlatformKey(pool, { accountId, keyId, displayName: 'test', secretHash: hashSecret(key), scopes, expireTime })
  return { key, keyId, accountId, revoke: () => revokePlatformKey(pool, keyId) }
}
