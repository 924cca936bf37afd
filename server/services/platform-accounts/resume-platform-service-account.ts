import type { PlatformServiceAccount } from '../../../gen/customer/platform/v1/platform_account.js'
import type { ResumePlatformServiceAccountRequest } from '../../../gen/customer/platform/v1/platform_account_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { recordAccount } from './account.record.js'
import { checkRank, resume } from './platform-accounts.rules.js'
import { accountToWire } from './platform-accounts.wire.js'
import { lockAccount, updateAccount } from './platform-service-accounts.repo.js'

export function resumePlatformServiceAccount(db: Database): Handler<ResumePlatformServiceAccountRequest, PlatformServiceAccount> {
  return ({ platformServiceAccountId, reason, etag }, call) =>
    inPlatform(db, call, async (tx) => {
      const row = await lockAccount(tx, platformServiceAccountId)
      const { scopes, now } = await tx.access
      checkRank(scopes, row)
      const next = resume(row, { etag, now })
      if (!next) return accountToWire(row)
      updateAccount(tx, next)
      recordAccount(tx, next, { reason })
      return accountToWire(next)
    })
}
