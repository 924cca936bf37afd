import type { Replay } from '../../../gen/customer/event/v1/event.js'
import type { ReplayEventsRequest } from '../../../gen/customer/event/v1/event_service.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import { newId } from '../../keys/ids.js'
import type { Handler } from '../../rpc/call.js'
import { appendAudit } from '../../trail/append.js'
import { insertReplay, readArchive } from './replays.repo.js'
import { newReplay } from './replays.rules.js'
import { replayToWire } from './replays.wire.js'

export function replayEvents(db: Database): Handler<ReplayEventsRequest, Replay> {
  return (request, call) =>
    inTenant(db, call, async (tx) => {
      const replay = newReplay(newId('rpl'), tx.tenantId, request, await readArchive(tx), await tx.now)
      insertReplay(tx, replay)
      appendAudit(tx, { target: `replays/${replay.id}` })
      return replayToWire(replay)
    })
}
