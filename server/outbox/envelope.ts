import { createHash } from 'node:crypto'
import { type EventDefinition, eventDefinition } from '../contract/event-catalogue.js'

/** A row of platform.events, as the relay and the events room read it. */
export interface EventRow {
  /** A tenant's id, or `platform`. */
  readonly tenant_id: string
  readonly stream: 'domain' | 'security' | 'platform'
  /** Decimal. */
  readonly sequence: string
  /** RFC 3339 with microseconds, UTC: the database's text, since a Date keeps milliseconds. */
  readonly time: string
  readonly id: string
  /** CloudEvents type. */
  readonly type: string
  readonly subject: string
  /** JSON text; null where it is longer than `payloadBytesMax`, and was not read. */
  readonly payload: string | null
  readonly traceparent: string
  readonly correlation_id: string
  readonly causation_id: string
  /** The replay or redrive that sends it once more. */
  readonly replay_id?: string
}

/** What leaves by a broker: all text, no header without a value. */
export interface EventRecord {
  readonly topic: string
  readonly key: string
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
}

export type ParkReason = 'too-large' | 'unknown-type' | 'malformed' | 'refused'

/** Larger payloads are parked: brokers take 1 MB a request by default, headers included, and so do answers of this service. */
export const payloadBytesMax = 900_000
/** No event's attributes take more, as headers or as fields of an answer. */
export const attributesBytesMax = 1_000

const parkedType = 'com.enterprise.customer.event.parked.v1'

/** 20 digits: sorts as text. */
export const sequenceText = (sequence: bigint | string) => String(sequence).padStart(20, '0')

/** Why this row can never be sent as it is; undefined where it can. */
export function parkReasonOf(row: EventRow): ParkReason | undefined {
  if (row.payload === null) return 'too-large'
  const definition = eventDefinition(row.type)
  if (!definition || (definition.stream !== row.stream && row.type !== parkedType)) return 'unknown-type'
  const attributesBytes = [row.id, row.subject, row.traceparent, row.correlation_id, row.causation_id].join('').length
  return isObject(row.payload) && row.id !== '' && attributesBytes <= 600 ? undefined : 'malformed'
}

function isObject(text: string): boolean {
  try {
    return /^\s*\{/.test(text) && JSON.parse(text) !== null
  } catch {
    return false
  }
}

/** What takes a parked event's number. The same row gives the same record, over every retry; its id is not the event's, which may be sent later. */
export function parkedRow(row: EventRow, reason: ParkReason): EventRow {
  const place = `${row.tenant_id}/${row.stream}/${row.sequence}`
  return {
    tenant_id: row.tenant_id,
    stream: row.stream,
    sequence: row.sequence,
    time: row.time,
    id: `evt_0${createHash('sha256').update(`parked/${place}/${row.id}`).digest('hex').slice(0, 25)}`,
    type: parkedType,
    subject: '',
    payload: JSON.stringify({ tenant_id: row.tenant_id, event_id: row.id.slice(0, 40), event_type: row.type.slice(0, 100), reason }),
    traceparent: '',
    correlation_id: '',
    causation_id: row.id.slice(0, 40),
    ...(row.replay_id === undefined ? {} : { replay_id: row.replay_id }),
  }
}

/** The CloudEvents attributes of a row that needs no parking; '' where an attribute has no value. */
export function attributesOf(row: EventRow) {
  const { dataschema, classification } = eventDefinition(row.type) as EventDefinition
  return {
    id: row.id,
    source: row.tenant_id === 'platform' ? '/customer-management/platform' : `/customer-management/tenants/${row.tenant_id}`,
    specversion: '1.0',
    type: row.type,
    subject: row.subject,
    time: row.time,
    dataschema,
    partitionkey: row.tenant_id,
    sequence: sequenceText(row.sequence),
    traceparent: row.traceparent,
    correlationid: row.correlation_id,
    causationid: row.causation_id,
    dataclassification: classification,
    datacontenttype: 'application/json',
  }
}

/**
 * The record of a row that needs no parking, in CloudEvents' binary mode: attributes as `ce_` headers, the payload as it is stored. It has no
 * timestamp of its own: brokers delete by that, and what waited for weeks must live from its arrival.
 * Built here in 2 µs, since the `cloudevents` package takes 37 (33 without its checks), most of what the relay spends on an event; a test holds
 * every type and any text against the package's record, and the package reads it back.
 * @param recordedTime when it is sent: whoever reads it can compute how long it took
 */
export function recordOf(row: EventRow, topic: string, recordedTime: Date): EventRecord {
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  const attributes: Record<string, string> = attributesOf(row)
  // binary mode says datacontenttype as content-type
  for (const name in attributes) if (attributes[name] !== '' && name !== 'datacontenttype') headers[`ce_${name}`] = attributes[name]!
  headers['ce_recordedtime'] = recordedTime.toISOString()
  if (row.replay_id !== undefined) headers['ce_replayid'] = row.replay_id
  return { topic, key: row.tenant_id, value: row.payload as string, headers }
}
