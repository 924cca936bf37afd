import type { RedriveDeadLettersRequest, RedriveDeadLettersResponse } from '../../../gen/customer/event/v1/event_service.js'
import type { Database } from '../../db/database.js'
import { inPlatform } from '../../db/in-tenant.js'
import { newId } from '../../keys/ids.js'
import type { Handler } from '../../rpc/call.js'
import { appendAudit } from '../../trail/append.js'
import { findDeadLetters, findParked, insertRedrives } from './dead-letters.repo.js'
import { mustHaveAll, placeOf, redrivesMax } from './dead-letters.rules.js'

export function redriveDeadLetters(db: Database): Handler<RedriveDeadLettersRequest, RedriveDeadLettersResponse> {
  return ({ deadLetterIds: ids, tenantId }, call) =>
    inPlatform(db, call, async (tx) => {
      const found = await (tenantId === '' ? findDeadLetters(tx, ids.map(placeOf)) : findParked(tx, tenantId, redrivesMax))
      mustHaveAll(ids, found)
      const letters = found.filter(({ queued }) => !queued)
      if (letters.length === 0) return { queued: 0, replayId: '' }
      const replayId = newId('rpl')
      insertRedrives(tx, letters, replayId)
      appendAudit(tx, { target: tenantId === '' ? ids.map((id) => `deadLetters/${id}`).join(' ') : `tenants/${tenantId}/deadLetters` })
      return { queued: letters.length, replayId }
    })
}
