import { CloudEvent, Kafka, type KafkaEvent } from 'cloudevents'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Event } from '../../gen/customer/event/v1/event.js'
import { eventDefinition, eventTypes } from '../../server/contract/event-catalogue.js'
import { jsonExampleOf } from '../../server/contract/json-example.js'
import {
  attributesBytesMax,
  attributesOf,
  type EventRow,
  parkedRow,
  parkReasonOf,
  payloadBytesMax,
  recordOf,
} from '../../server/outbox/envelope.js'

const tenantId = 'tnt_01jd3y5v7hfkx9m2qw8zr4tn6b'
const created = eventDefinition('customer.tenant.v1.TenantCreated')!
const row: EventRow = {
  tenant_id: tenantId,
  stream: 'domain',
  sequence: '42',
  time: '2026-11-25T10:58:39.143339Z',
  id: 'evt_01jd3y5v7hfkx9m2qw8zr4tn6b',
  type: created.ceType,
  subject: '',
  payload: JSON.stringify(jsonExampleOf(created.desc)),
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  correlation_id: 'req-1',
  causation_id: '',
}
const sentAt = new Date('2026-11-25T10:58:39.200Z')

/** As kafkajs hands them out: header values are Buffers. */
const received = ({ key, value, headers }: ReturnType<typeof recordOf>) => ({
  key: Buffer.from(key),
  value: Buffer.from(value),
  headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
})

function readBack(record: ReturnType<typeof recordOf>) {
  const { key, value, headers } = received(record)
  const texts = Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString()]))
  return Kafka.toEvent({ key: key.toString(), value, headers: texts, body: value } as never) as CloudEvent<unknown>
}

/** The headers as the package makes them, strict, without those that its binding gets wrong: undefined ones, and ce_datacontenttype. */
function packaged(it: EventRow) {
  const attributes = Object.entries({ ...attributesOf(it), recordedtime: sentAt.toISOString() }).filter(([, value]) => value !== '')
  const event = new CloudEvent({ ...Object.fromEntries(attributes), data: it.payload } as unknown as KafkaEvent<string>)
  const { headers, key, value } = Kafka.binary(event as unknown as KafkaEvent<string>)
  const kept = Object.entries(headers).filter(([name, header]) => header !== undefined && name !== 'ce_datacontenttype')
  return { key, value, headers: Object.fromEntries(kept) }
}

describe('record', () => {
  it('binary mode: attributes as ce_ headers, content-type, the payload as it is stored', () => {
    const record = recordOf({ ...row, payload: '{"b" : 1, "10": 2, "9": 3}' }, 'a-topic', sentAt)
    expect(record).toEqual({
      topic: 'a-topic',
      key: tenantId,
      value: '{"b" : 1, "10": 2, "9": 3}',
      headers: {
        'content-type': 'application/json',
        ce_specversion: '1.0',
        ce_id: row.id,
        ce_source: `/customer-management/tenants/${tenantId}`,
        ce_type: 'com.enterprise.customer.tenant.created.v1',
        ce_time: '2026-11-25T10:58:39.143339Z',
        ce_dataschema: 'urn:customer-management:event:com.enterprise.customer.tenant.created.v1',
        ce_partitionkey: tenantId,
        ce_sequence: '00000000000000000042',
        ce_recordedtime: '2026-11-25T10:58:39.200Z',
        ce_traceparent: row.traceparent,
        ce_correlationid: 'req-1',
        ce_dataclassification: 'confidential',
      },
    })
  })

  it('C-080 is what the cloudevents package makes of the row, of every type and of any text', () => {
    const any = fc.string({ unit: 'grapheme', maxLength: 60 })
    const base62 = fc.string({ unit: fc.constantFrom(...'0123456789abcdefghjkmnpqrstvwxyz'), minLength: 26, maxLength: 26 })
    const rows = fc.record({
      definition: fc.constantFrom(...eventTypes),
      tenant_id: fc.oneof(
        base62.map((it) => `tnt_${it}`),
        fc.constant('platform'),
      ),
      sequence: fc.bigInt({ min: 1n, max: 2n ** 62n }).map(String),
      time: fc
        .date({ min: new Date('2020-01-01'), max: new Date('2200-01-01'), noInvalidDate: true })
        .map((it) => it.toISOString().replace('Z', '123Z')),
      id: base62.map((it) => `evt_${it}`),
      subject: any,
      payload: fc.object().map((it) => JSON.stringify(it)),
      traceparent: fc.constantFrom('', row.traceparent),
      correlation_id: any,
      causation_id: any,
    })
    fc.assert(
      fc.property(rows, ({ definition, ...drawn }) => {
        const drawnRow: EventRow = { ...drawn, type: definition.ceType, stream: definition.stream }
        const { topic: _, ...record } = recordOf(drawnRow, 't', sentAt)
        expect(record).toEqual(packaged(drawnRow))
      }),
      { numRuns: 1_000 },
    )
  })

  it('the client takes every header: all are text, none is empty', () => {
    for (const { ceType, stream, desc } of eventTypes) {
      const { headers } = recordOf({ ...row, type: ceType, stream, payload: JSON.stringify(jsonExampleOf(desc)) }, 't', sentAt)
      for (const [name, value] of Object.entries(headers)) expect(value, `${ceType} ${name}`).toMatch(/./)
    }
  })

  it('is read back by the package, from headers as the client hands them out', () => {
    const event = readBack(recordOf({ ...row, subject: 'invitations/inv_1', causation_id: 'evt_0' }, 't', sentAt))
    expect(event.validate()).toBe(true)
    expect(event).toMatchObject({
      ...attributesOf({ ...row, subject: 'invitations/inv_1', causation_id: 'evt_0' }),
      time: '2026-11-25T10:58:39.143Z', // the package's Date keeps milliseconds; the header has all
      data: JSON.parse(row.payload!),
    })
  })

  it('round trip: any text in subject and ids comes back', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(text, text, text, (subject, correlation_id, causation_id) => {
        const record = recordOf({ ...row, subject, correlation_id, causation_id }, 't', sentAt)
        const event = readBack(record)
        expect([event.subject, event['correlationid'], event['causationid']]).toEqual([subject, correlation_id, causation_id])
      }),
    )
  })

  it('its attributes take no more than was counted for them', () => {
    const longest = { ...row, subject: 's'.repeat(200), correlation_id: 'c'.repeat(128), causation_id: 'e'.repeat(40) }
    expect(parkReasonOf(longest)).toBeUndefined()
    const { headers, key } = recordOf(longest, 't', sentAt)
    const bytes = Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length + 4, key.length)
    expect(bytes).toBeLessThanOrEqual(attributesBytesMax + 200)
    const message = { ...attributesOf(longest), data: '' }
    expect(Event.encode(message).finish().length).toBeLessThanOrEqual(attributesBytesMax)
  })

  it('events of the pseudo-tenant have the source of the platform', () => {
    const { headers, key } = recordOf({ ...row, tenant_id: 'platform' }, 't', sentAt)
    expect([key, headers['ce_source'], headers['ce_partitionkey']]).toEqual(['platform', '/customer-management/platform', 'platform'])
  })
})

describe('what can never be sent', () => {
  it.each([
    ['unknown-type', { type: 'com.enterprise.customer.tenant.vanished.v1' }],
    ['unknown-type', { stream: 'security' as const }],
    ['too-large', { payload: null }],
    ['malformed', { payload: '{"broken' }],
    ['malformed', { payload: '"text"' }],
    ['malformed', { payload: '' }],
    ['malformed', { id: '' }],
    ['malformed', { correlation_id: 'x'.repeat(2_000) }],
  ])('%s: %o', (reason, change) => {
    expect(parkReasonOf({ ...row, ...change })).toBe(reason)
  })

  it('goes out as event.parked of the same sequence, the same over every retry', () => {
    const poison = {
      ...row,
      type: 'com.enterprise.customer.tenant.vanished.v1',
      subject: 'x'.repeat(500),
      correlation_id: 'y'.repeat(5_000),
    }
    const parked = parkedRow(poison, 'unknown-type')
    expect(parkedRow(poison, 'unknown-type')).toEqual(parked)
    expect(parkReasonOf(parked)).toBeUndefined()
    const { headers, value, key } = recordOf(parked, 't', sentAt)
    expect(key).toBe(tenantId)
    expect(headers).toMatchObject({
      ce_type: 'com.enterprise.customer.event.parked.v1',
      ce_sequence: '00000000000000000042',
      ce_time: row.time,
      ce_causationid: row.id,
      ce_dataclassification: 'internal',
    })
    expect(headers['ce_id']).toMatch(/^evt_[0-7][0-9a-hjkmnp-tv-z]{25}$/)
    expect(headers['ce_id']).not.toBe(row.id)
    expect(JSON.parse(value)).toEqual({ tenant_id: tenantId, event_id: row.id, event_type: poison.type, reason: 'unknown-type' })
  })

  it('a parked event of another stream stays in its topic', () => {
    expect(parkReasonOf(parkedRow({ ...row, stream: 'security' }, 'malformed'))).toBeUndefined()
  })

  it('a payload and its attributes fit what brokers take by default', () => {
    expect(payloadBytesMax + 2 * attributesBytesMax).toBeLessThan(1_048_588)
  })
})
