import type { ListDeadLettersRequest, ListDeadLettersResponse } from '../../../gen/customer/event/v1/event_service.js'
import type { EventStream } from '../../contract/event-catalogue.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import type { Ring } from '../../keys/ring.js'
import { cutPage, pageSizeOf } from '../../lists/keyset.js'
import { openPageToken, sealPageToken } from '../../lists/page-token.js'
import type { Handler } from '../../rpc/call.js'
import { listDeadLetters as list } from './dead-letters.repo.js'
import { deadLetterStateFilter, deadLetterToWire } from './dead-letters.wire.js'

export function listDeadLetters(db: Database, ring: Ring, now: () => Date): Handler<ListDeadLettersRequest, ListDeadLettersResponse> {
  return ({ tenantId, state, pageSize, pageToken }, call) => {
    const query = { principalId: call.principal.id, method: call.method, tenantId, filter: { state }, order: '' }
    return inPlatform(db, call, async (tx) => {
      const [tenant_id, stream, sequence] = openPageToken(ring, query, pageToken, now()) ?? []
      const after = tenant_id && stream && sequence ? { tenant_id, stream: stream as EventStream, sequence } : undefined
      const size = pageSizeOf(pageSize)
      const found = await list(tx, { tenantId, state: deadLetterStateFilter(state) }, after, size)
      const { rows, next } = cutPage(found, size, (row) => [row.tenant_id, row.stream, row.sequence])
      return { deadLetters: rows.map(deadLetterToWire), nextPageToken: next ? sealPageToken(ring, query, next, now()) : '' }
    })
  }
}
