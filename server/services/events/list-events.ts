import type { ListEventsRequest, ListEventsResponse } from '../../../gen/customer/event/v1/event_service.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import { sequenceText } from '../../outbox/envelope.js'
import type { Handler } from '../../rpc/call.js'
import { readEvents } from './events.repo.js'
import { filterOf, limitOf, pageOf } from './events.rules.js'
import { eventToWire } from './events.wire.js'

export function listEvents(db: Database): Handler<ListEventsRequest, ListEventsResponse> {
  return (request, call) =>
    inTenant(db, call, async (tx) => {
      const filter = filterOf(request, limitOf(request.pageSize))
      const page = pageOf(await readEvents(tx, filter), filter)
      return { events: page.events.map(eventToWire), lastSequence: sequenceText(page.lastSequence) }
    })
}
