import type { PlatformServiceAccount } from '../../../gen/customer/platform/v1/platform_account.js'
import type { UpdatePlatformServiceAccountRequest } from '../../../gen/customer/platform/v1/platform_account_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { Fault } from '../../rpc/fault.js'
import { recordAccount } from './account.record.js'
import { checkGrant, checkKnown, checkRank, patched } from './platform-accounts.rules.js'
import { accountToWire } from './platform-accounts.wire.js'
import { keepManager } from './platform-api-keys.repo.js'
import { lockAccount, updateAccount } from './platform-service-accounts.repo.js'

export function updatePlatformServiceAccount(db: Database): Handler<UpdatePlatformServiceAccountRequest, PlatformServiceAccount> {
  return ({ platformServiceAccountId, displayName: display_name, permissions, etag }, call) =>
    inPlatform(db, call, async (tx) => {
      const row = await lockAccount(tx, platformServiceAccountId)
      const { scopes, now } = await tx.access
      checkRank(scopes, row)
      if (display_name === undefined && permissions.length === 0) throw new Fault('UPDATE_EMPTY', 'the update names no field')
      checkKnown(permissions)
      checkGrant(scopes, permissions)
      const { next, changedFields } = patched(row, { display_name, permissions }, { etag, now })
      if (changedFields.length === 0) return accountToWire(row)
      if (changedFields.includes('permissions')) await keepManager(tx, now)
      updateAccount(tx, next)
      recordAccount(tx, next, { changedFields })
      return accountToWire(next)
    })
}
