import type { ListPlatformApiKeysRequest, ListPlatformApiKeysResponse } from '../../../gen/customer/platform/v1/platform_account_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Ring } from '../../keys/ring.js'
import { cutPage, pageSizeOf } from '../../lists/keyset.js'
import { openPageToken, sealPageToken } from '../../lists/page-token.js'
import type { Handler } from '../../rpc/call.js'
import { keyStateFilter, keyToWire } from './platform-accounts.wire.js'
import { listKeys } from './platform-api-keys.repo.js'

export function listPlatformApiKeys(
  db: Database,
  ring: Ring,
  now: () => Date,
): Handler<ListPlatformApiKeysRequest, ListPlatformApiKeysResponse> {
  return ({ platformServiceAccountId: accountId, state, showDeleted, pageSize, pageToken }, call) => {
    const filter = { accountId, state, showDeleted }
    const query = { principalId: call.principal.id, method: call.method, tenantId: '', filter, order: '' }
    return inPlatform(db, call, async (tx) => {
      const [at, id] = openPageToken(ring, query, pageToken, now()) ?? []
      const after = at !== undefined && id !== undefined ? { at, id } : undefined
      const size = pageSizeOf(pageSize)
      const asOf = await tx.now
      const found = await listKeys(tx, { accountId, state: keyStateFilter(state), showDeleted, now: asOf }, after, size)
      const { rows, next } = cutPage(found, size, (row) => [row.at, row.id])
      return {
        platformApiKeys: rows.map((row) => keyToWire(row, asOf)),
        nextPageToken: next ? sealPageToken(ring, query, next, now()) : '',
      }
    })
  }
}
