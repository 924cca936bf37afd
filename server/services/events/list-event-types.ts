import type { ListEventTypesRequest, ListEventTypesResponse } from '../../../gen/customer/event/v1/event_service.js'
import { eventTypes } from '../../contract/event-catalogue.js'
import type { Handler } from '../../rpc/call.js'
import { eventTypeToWire } from './events.wire.js'

export function listEventTypes(): Handler<ListEventTypesRequest, ListEventTypesResponse> {
  const answer = { eventTypes: eventTypes.map(eventTypeToWire) }
  return async () => answer
}
