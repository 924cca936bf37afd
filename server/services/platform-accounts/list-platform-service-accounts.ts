import type {
  ListPlatformServiceAccountsRequest,
  ListPlatformServiceAccountsResponse,
} from '../../../gen/customer/platform/v1/platform_account_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Ring } from '../../keys/ring.js'
import { cutPage, pageSizeOf } from '../../lists/keyset.js'
import { openPageToken, sealPageToken } from '../../lists/page-token.js'
import type { Handler } from '../../rpc/call.js'
import { accountStateFilter, accountToWire } from './platform-accounts.wire.js'
import { listAccounts } from './platform-service-accounts.repo.js'

export function listPlatformServiceAccounts(
  db: Database,
  ring: Ring,
  now: () => Date,
): Handler<ListPlatformServiceAccountsRequest, ListPlatformServiceAccountsResponse> {
  return ({ state, showDeleted, pageSize, pageToken }, call) => {
    const query = { principalId: call.principal.id, method: call.method, tenantId: '', filter: { state, showDeleted }, order: '' }
    return inPlatform(db, call, async (tx) => {
      const [at, id] = openPageToken(ring, query, pageToken, now()) ?? []
      const after = at !== undefined && id !== undefined ? { at, id } : undefined
      const size = pageSizeOf(pageSize)
      const found = await listAccounts(tx, { state: accountStateFilter(state), showDeleted }, after, size)
      const { rows, next } = cutPage(found, size, (row) => [row.at, row.id])
      return { platformServiceAccounts: rows.map(accountToWire), nextPageToken: next ? sealPageToken(ring, query, next, now()) : '' }
    })
  }
}
