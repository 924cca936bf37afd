import type { EventType } from '../../../gen/customer/event/v1/event.js'
import type { GetEventTypeRequest } from '../../../gen/customer/event/v1/event_service.js'
import { eventTypes } from '../../contract/event-catalogue.js'
import type { Handler } from '../../rpc/call.js'
import { Fault } from '../../rpc/fault.js'
import { eventTypeToWire } from './events.wire.js'

export function getEventType(): Handler<GetEventTypeRequest, EventType> {
  const known = new Map(eventTypes.map((it) => [it.ceType, eventTypeToWire(it)]))
  return async ({ eventType }) => {
    const found = known.get(eventType)
    if (!found) throw new Fault('EVENT_TYPE_NOT_FOUND', 'there is no such event type')
    return found
  }
}
