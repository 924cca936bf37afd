import { EventServiceService } from '../../../gen/customer/event/v1/event_service.js'
import type { Database } from '../../db/database.js'
import type { Poll } from '../../outbox/poll.js'
import type { Layer } from '../../rpc/call.js'
import { implement } from '../../rpc/kernel.js'
import { getEventType } from './get-event-type.js'
import { listEventTypes } from './list-event-types.js'
import { listEvents } from './list-events.js'
import { type WatchTimings, watchEvents } from './watch-events.js'

export const eventsService = (db: Database, poll: Poll, layers: readonly Layer[], timings?: WatchTimings) =>
  implement(
    EventServiceService,
    {
      listEventTypes: listEventTypes(),
      getEventType: getEventType(),
      listEvents: listEvents(db),
      watchEvents: watchEvents(db, poll, timings),
    },
    layers,
  )
