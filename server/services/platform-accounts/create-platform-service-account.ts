import type { PlatformServiceAccount } from '../../../gen/customer/platform/v1/platform_account.js'
import type { CreatePlatformServiceAccountRequest } from '../../../gen/customer/platform/v1/platform_account_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import { newId } from '../../keys/ids.js'
import type { Handler } from '../../rpc/call.js'
import { recordAccount } from './account.record.js'
import { checkGrant, checkKnown, newAccount } from './platform-accounts.rules.js'
import { accountToWire } from './platform-accounts.wire.js'
import { insertAccount } from './platform-service-accounts.repo.js'

export function createPlatformServiceAccount(db: Database): Handler<CreatePlatformServiceAccountRequest, PlatformServiceAccount> {
  return ({ displayName: display_name, permissions }, call) => {
    checkKnown(permissions)
    return inPlatform(db, call, async (tx) => {
      const { scopes, now } = await tx.access
      checkGrant(scopes, permissions)
      const row = newAccount({ id: newId('psa'), display_name, permissions }, now)
      insertAccount(tx, row)
      recordAccount(tx, row)
      return accountToWire(row)
    })
  }
}
