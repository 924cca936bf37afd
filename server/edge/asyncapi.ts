import { type EventDefinition, eventTypes } from '../contract/event-catalogue.js'
import { jsonExampleOf } from '../contract/json-example.js'
import { jsonSchemaOf } from '../contract/json-schema.js'

/** Topics by their role, as the relay names them. */
export type TopicNames = Readonly<Record<'domain' | 'security' | 'platform' | 'replay', string>>

const text = (description: string, more: object = {}) => ({ type: 'string', description, ...more })

/** The headers of every record: CloudEvents 1.0, Kafka binding, binary mode. */
const headers = {
  type: 'object',
  properties: {
    ce_specversion: text('CloudEvents.', { const: '1.0' }),
    ce_id: text('The event’s id, the same over repeats.'),
    ce_source: text('`/customer-management/tenants/{tenant_id}`, or `/customer-management/platform`.'),
    ce_type: text('What happened.'),
    ce_subject: text('What it happened to.'),
    ce_time: text('When.', { format: 'date-time' }),
    ce_dataschema: text('Names the schema of the data.'),
    ce_partitionkey: text('The record’s key.'),
    ce_sequence: text('Of this tenant in this topic, from 1 and without gaps.', { pattern: '^[0-9]{20}$' }),
    ce_recordedtime: text('When the relay sent it.', { format: 'date-time' }),
    ce_traceparent: text('W3C trace context of the call.'),
    ce_correlationid: text('The request id of the call.'),
    ce_causationid: text('The event that led to it.'),
    ce_dataclassification: text('How the data is to be handled.', { enum: ['internal', 'confidential'] }),
    ce_replayid: text('In the topic of replays alone: which replay or redrive sent it once more.'),
    'content-type': text('Of the value.', { const: 'application/json' }),
  },
  required: ['ce_specversion', 'ce_id', 'ce_source', 'ce_type', 'ce_time', 'ce_sequence', 'content-type'],
}

/** The AsyncAPI 3 document of the events: a channel a topic, a message a type, out of the catalogue. */
export function asyncApi(topics: TopicNames, version: string): object {
  // whatever a stream has may be sent once more
  const streams = [...new Set(eventTypes.map((it) => it.stream)), 'replay'] as const
  const of = (stream: string) => eventTypes.filter((it) => stream === 'replay' || it.stream === stream)
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Events of customer management',
      version,
      description: 'At least once, in order per tenant, gaps visible by `ce_sequence`.',
      license: { name: 'MIT' },
    },
    defaultContentType: 'application/json',
    channels: Object.fromEntries(
      streams.map((stream) => [
        stream,
        {
          address: topics[stream],
          messages: Object.fromEntries(of(stream).map((it) => [it.type, { $ref: `#/components/messages/${it.type}` }])),
        },
      ]),
    ),
    operations: Object.fromEntries(
      streams.map((stream) => [
        `send-${stream}`,
        {
          action: 'send',
          channel: { $ref: `#/channels/${stream}` },
          messages: of(stream).map((it) => ({ $ref: `#/channels/${stream}/messages/${it.type}` })),
        },
      ]),
    ),
    components: {
      messageTraits: { cloudEvent: { contentType: 'application/json', headers } },
      messages: Object.fromEntries(eventTypes.map((it) => [it.type, message(it)])),
    },
  }
}

const message = ({ type, ceType, description, dataschema, desc }: EventDefinition) => ({
  name: ceType,
  title: type,
  summary: description,
  traits: [{ $ref: '#/components/messageTraits/cloudEvent' }],
  payload: {
    schemaFormat: 'application/schema+json;version=draft-2020-12',
    schema: jsonSchemaOf(desc, { id: dataschema, description }),
  },
  examples: [{ name: type, headers: { ce_type: ceType, ce_dataschema: dataschema }, payload: jsonExampleOf(desc) }],
})
