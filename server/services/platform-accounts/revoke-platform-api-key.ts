import type { PlatformApiKey } from '../../../gen/customer/platform/v1/platform_account.js'
import type { RevokePlatformApiKeyRequest } from '../../../gen/customer/platform/v1/platform_account_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { recordKey } from './account.record.js'
import { checkRank } from './platform-accounts.rules.js'
import { keyToWire } from './platform-accounts.wire.js'
import { keepManager, lockKey, revokeKey } from './platform-api-keys.repo.js'

export function revokePlatformApiKey(db: Database): Handler<RevokePlatformApiKeyRequest, PlatformApiKey> {
  return ({ platformApiKeyId }, call) =>
    inPlatform(db, call, async (tx) => {
      const { key, permissions } = await lockKey(tx, platformApiKeyId)
      const { scopes, now } = await tx.access
      checkRank(scopes, { permissions })
      if (key.revoke_time) return keyToWire(key, now)
      await keepManager(tx, now)
      revokeKey(tx, key.id, now)
      recordKey(tx, key)
      return keyToWire({ ...key, revoke_time: now }, now)
    })
}
