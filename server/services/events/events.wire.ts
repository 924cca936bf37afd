import type { Event, EventType } from '../../../gen/customer/event/v1/event.js'
import type { EventDefinition } from '../../contract/event-catalogue.js'
import { jsonExampleOf } from '../../contract/json-example.js'
import { jsonSchemaOf } from '../../contract/json-schema.js'
import { attributesOf, type EventRow, parkedRow, parkReasonOf } from '../../outbox/envelope.js'
import { topicOfStream } from '../../outbox/topics.js'

/** The event as consumers of the topic see it: what can never be sent shows as `event.parked` here too. */
export function eventToWire(row: EventRow): Event {
  const reason = parkReasonOf(row)
  const shown = reason ? parkedRow(row, reason) : row
  return { ...attributesOf(shown), data: shown.payload as string }
}

export const eventTypeToWire = ({ ceType, description, stream, classification, dataschema, desc }: EventDefinition): EventType => ({
  type: ceType,
  description,
  topic: topicOfStream(stream),
  dataclassification: classification,
  dataschema,
  jsonSchema: JSON.stringify(jsonSchemaOf(desc, { id: dataschema, description })),
  example: JSON.stringify(jsonExampleOf(desc)),
})
