import type { KafkaRecord } from '../../clients/typescript/src/events/decode.js'
import { eventDefinition } from '../../server/contract/event-catalogue.js'
import { jsonExampleOf } from '../../server/contract/json-example.js'
import { type EventRow, recordOf } from '../../server/outbox/envelope.js'

/** Any tenant's id: `tnt_` and the number. */
export const tenantNumbered = (n: number) => `tnt_${String(n).padStart(26, '0')}`

const updated = eventDefinition('customer.tenant.v1.TenantUpdated')!

/** An event of a tenant as the relay reads it. */
export const eventRow = (tenantId: string, sequence: number, more: Partial<EventRow> = {}): EventRow => ({
  tenant_id: tenantId,
  stream: 'domain',
  sequence: String(sequence),
  time: '2026-11-25T10:58:39.143339Z',
  id: `evt_${tenantId.slice(-13)}${String(sequence).padStart(13, '0')}`,
  type: updated.ceType,
  subject: '',
  payload: JSON.stringify({ ...jsonExampleOf(updated.desc), tenant_id: tenantId }),
  traceparent: '',
  correlation_id: 'req-test',
  causation_id: '',
  ...more,
})

/** The same as the service sends it. */
export const eventRecord = (row: EventRow, topic = 'customer-management.domain.v1') => recordOf(row, topic, new Date())

/** The same as kafkajs hands it to a consumer. */
export function received(row: EventRow, topic?: string): KafkaRecord {
  const { key, value, headers, topic: name } = eventRecord(row, topic)
  const bytes = Object.fromEntries(Object.entries(headers).map(([header, text]) => [header, Buffer.from(text)]))
  return { topic: name, partition: 0, offset: row.sequence, key: Buffer.from(key), value: Buffer.from(value), headers: bytes }
}
