import { PlatformAccountServiceService } from '../../../gen/customer/platform/v1/platform_account_service.js'
import type { Database } from '../../db/database.js'
import type { Ring } from '../../keys/ring.js'
import type { Layer } from '../../rpc/call.js'
import { implement } from '../../rpc/kernel.js'
import { createPlatformApiKey } from './create-platform-api-key.js'
import { createPlatformServiceAccount } from './create-platform-service-account.js'
import { deletePlatformServiceAccount } from './delete-platform-service-account.js'
import { getPlatformServiceAccount } from './get-platform-service-account.js'
import { listPlatformApiKeys } from './list-platform-api-keys.js'
import { listPlatformServiceAccounts } from './list-platform-service-accounts.js'
import { resumePlatformServiceAccount } from './resume-platform-service-account.js'
import { revokePlatformApiKey } from './revoke-platform-api-key.js'
import { suspendPlatformServiceAccount } from './suspend-platform-service-account.js'
import { updatePlatformServiceAccount } from './update-platform-service-account.js'

export interface PlatformAccountsDeps {
  readonly db: Database
  readonly ring: Ring
  readonly now: () => Date
}

export const platformAccountsService = ({ db, ring, now }: PlatformAccountsDeps, layers: readonly Layer[]) =>
  implement(
    PlatformAccountServiceService,
    {
      createPlatformServiceAccount: createPlatformServiceAccount(db),
      getPlatformServiceAccount: getPlatformServiceAccount(db),
      listPlatformServiceAccounts: listPlatformServiceAccounts(db, ring, now),
      updatePlatformServiceAccount: updatePlatformServiceAccount(db),
      suspendPlatformServiceAccount: suspendPlatformServiceAccount(db),
      resumePlatformServiceAccount: resumePlatformServiceAccount(db),
      deletePlatformServiceAccount: deletePlatformServiceAccount(db),
      createPlatformApiKey: createPlatformApiKey(db),
      listPlatformApiKeys: listPlatformApiKeys(db, ring, now),
      revokePlatformApiKey: revokePlatformApiKey(db),
    },
    layers,
  )
