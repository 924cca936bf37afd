import type { PlatformServiceAccount } from '../../../gen/customer/platform/v1/platform_account.js'
import type { GetPlatformServiceAccountRequest } from '../../../gen/customer/platform/v1/platform_account_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Handler } from '../../rpc/call.js'
import { accountToWire } from './platform-accounts.wire.js'
import { readAccount } from './platform-service-accounts.repo.js'

export function getPlatformServiceAccount(db: Database): Handler<GetPlatformServiceAccountRequest, PlatformServiceAccount> {
  return ({ platformServiceAccountId }, call) =>
    inPlatform(db, call, async (tx) => accountToWire(await readAccount(tx, platformServiceAccountId)))
}
