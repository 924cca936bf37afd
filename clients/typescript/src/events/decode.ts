import type { IHeaders } from 'kafkajs'
import { eventTypes } from '../../../../gen/event-types.js'
import type { CustomerEvent, EventAttributes } from './event.js'

/** A record as Kafka has it. */
export interface KafkaRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: IHeaders
}

/** An event, or what is wrong with the record; that one has its place nevertheless where its envelope could be read. */
export type Decoded =
  | { readonly event: CustomerEvent; readonly problem?: undefined; readonly place: Place }
  | { readonly event?: undefined; readonly problem: string; readonly place?: Place }

export interface Place {
  readonly tenantId: string
  /** 20 digits. */
  readonly sequence: string
}

/** Why a record is no event. */
class Wrong extends Error {}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Reads a record in CloudEvents' binary mode, and holds its envelope against the contract; the data only must be a JSON object. Never throws. */
export function decode(record: KafkaRecord): Decoded {
  let place: Place | undefined
  try {
    const attributes = attributesOf(record)
    place = { tenantId: attributes.tenantId, sequence: attributes.sequence }
    const data = dataOf(record.value)
    const type = header(record.headers, 'ce_type', /^[\w.-]{1,200}$/)
    const event = eventTypes.has(type) ? { ...attributes, type, data } : { ...attributes, type: 'unknown', unknownType: type, data }
    return { event: event as unknown as CustomerEvent, place }
  } catch (error) {
    if (!(error instanceof Wrong)) throw error
    return { problem: error.message, ...(place ? { place } : {}) }
  }
}

function attributesOf({ key, headers }: KafkaRecord): EventAttributes {
  header(headers, 'content-type', /^application\/json *(;|$)/i)
  header(headers, 'ce_specversion', /^1\.0$/)
  const source = header(headers, 'ce_source', /^\/customer-management\/(tenants\/tnt_[0-9a-z]{26}|platform)$/)
  const tenantId = source.slice(source.lastIndexOf('/') + 1)
  if (String(key) !== tenantId) throw new Wrong('the key is not the tenant of ce_source')
  const optional = (name: string) => header(headers, name, /^/, '')
  return {
    id: header(headers, 'ce_id', /^.{1,100}$/),
    tenantId,
    sequence: header(headers, 'ce_sequence', /^\d{20}$/),
    source,
    subject: optional('ce_subject'),
    time: header(headers, 'ce_time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/),
    recordedtime: optional('ce_recordedtime'),
    dataschema: optional('ce_dataschema'),
    dataclassification: optional('ce_dataclassification'),
    traceparent: optional('ce_traceparent'),
    correlationid: optional('ce_correlationid'),
    causationid: optional('ce_causationid'),
    replayid: optional('ce_replayid'),
  }
}

function header(headers: IHeaders, name: string, form: RegExp, otherwise?: string): string {
  const value = headers[name] ?? otherwise
  if (value === undefined) throw new Wrong(`${name} is missing`)
  if (Array.isArray(value)) throw new Wrong(`${name} comes twice`)
  const text = String(value)
  if (!form.test(text)) throw new Wrong(`${name} is ${JSON.stringify(text.slice(0, 100))}`)
  return text
}

function dataOf(value: Buffer | null): object {
  if (!value) throw new Wrong('it has no value')
  try {
    const data: unknown = JSON.parse(utf8.decode(value))
    if (typeof data === 'object' && data !== null && !Array.isArray(data)) return data
  } catch {
    throw new Wrong('the value is no JSON')
  }
  throw new Wrong('the value is no JSON object')
}
