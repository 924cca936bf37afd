import type { PlatformApiKey } from '../../../gen/customer/platform/v1/platform_account.js'
import type { CreatePlatformApiKeyRequest } from '../../../gen/customer/platform/v1/platform_account_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import { newId } from '../../keys/ids.js'
import { hashSecret, makeSecret } from '../../keys/secret.js'
import type { Handler } from '../../rpc/call.js'
import { recordKey } from './account.record.js'
import { checkRank, checkScopes, checkThere, expiryOf } from './platform-accounts.rules.js'
import { keyToWire } from './platform-accounts.wire.js'
import { insertKey } from './platform-api-keys.repo.js'
import { lockAccount } from './platform-service-accounts.repo.js'

export function createPlatformApiKey(db: Database): Handler<CreatePlatformApiKeyRequest, PlatformApiKey> {
  return ({ platformServiceAccountId, displayName, scopes, expireTime }, call) =>
    inPlatform(db, call, async (tx) => {
      const account = await lockAccount(tx, platformServiceAccountId)
      const { scopes: held, now } = await tx.access
      checkRank(held, account)
      checkThere(account)
      checkScopes(scopes, account)
      const row = {
        id: newId('pky'),
        platform_service_account_id: account.id,
        display_name: displayName,
        scopes: [...scopes].sort(),
        create_time: now,
        expire_time: expiryOf(expireTime, now),
        revoke_time: null,
      }
      const secret = makeSecret('ck', '', row.id)
      insertKey(tx, row, hashSecret(secret))
      recordKey(tx, row)
      return keyToWire(row, now, secret)
    })
}
