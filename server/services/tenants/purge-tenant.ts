import type { PurgeTenantRequest, PurgeTenantResponse } from '../../../gen/customer/tenant/v1/tenant_service.js'
import type { Database } from '../../db/database.js'
import type { Call, Handler } from '../../rpc/call.js'
import { finishPurge, purge } from './purge.record.js'
import { checkPurge, type TenantOptions } from './tenants.rules.js'

export function purgeTenant(
  db: Database,
  { purgeWaitHours }: Pick<TenantOptions, 'purgeWaitHours'>,
): Handler<PurgeTenantRequest, PurgeTenantResponse> {
  return async ({ confirmSlug, etag }, call) => {
    // Of a tenant that is gone the rights alone are judged: a repeat of the purge is answered as the first one was, and all else finds no row.
    const purging: Call = { ...call, judge: (access) => call.judge({ ...access, tenant_state: access.tenant_state ?? 'DELETED' }) }
    const answer = await purge(db, purging, (row, now) => checkPurge(row, { confirmSlug, etag, now, purgeWaitHours }))
    await finishPurge(db, call).catch(() => {
      call.log['purge'] = 'left to the job'
    })
    return answer
  }
}
