import { EventServiceService } from '../../../gen/customer/event/v1/event_service.js'
import type { Database } from '../../db/database.js'
import type { Ring } from '../../keys/ring.js'
import type { Poll } from '../../outbox/poll.js'
import type { Layer } from '../../rpc/call.js'
import { implement } from '../../rpc/kernel.js'
import { getDeliveryStatus } from './get-delivery-status.js'
import { getEventType } from './get-event-type.js'
import { listDeadLetters } from './list-dead-letters.js'
import { listEventTypes } from './list-event-types.js'
import { listEvents } from './list-events.js'
import { redriveDeadLetters } from './redrive-dead-letters.js'
import { replayEvents } from './replay-events.js'
import { type WatchTimings, watchEvents } from './watch-events.js'

export interface EventsDeps {
  readonly db: Database
  readonly poll: Poll
  readonly ring: Ring
  readonly now: () => Date
  readonly watchTimings?: WatchTimings | undefined
}

export const eventsService = ({ db, poll, ring, now, watchTimings }: EventsDeps, layers: readonly Layer[]) =>
  implement(
    EventServiceService,
    {
      listEventTypes: listEventTypes(),
      getEventType: getEventType(),
      listEvents: listEvents(db),
      watchEvents: watchEvents(db, poll, watchTimings),
      replayEvents: replayEvents(db),
      getDeliveryStatus: getDeliveryStatus(db),
      listDeadLetters: listDeadLetters(db, ring, now),
      redriveDeadLetters: redriveDeadLetters(db),
    },
    layers,
  )
