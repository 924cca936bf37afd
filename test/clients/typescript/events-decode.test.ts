import { describe, expect, it } from 'vitest'
import { decode, type KafkaRecord } from '../../../clients/typescript/src/events/decode.js'
import { eventTypes } from '../../../server/contract/event-catalogue.js'
import { jsonExampleOf } from '../../../server/contract/json-example.js'
import { parkedRow } from '../../../server/outbox/envelope.js'
import { eventRow, received, tenantNumbered } from '../../support/event-records.js'

const tenantId = tenantNumbered(1)
const sequence = '00000000000000000007'
const good = received(eventRow(tenantId, 7))

describe('a record that the service sends', () => {
  it.each(eventTypes.map((it) => [it.ceType, it] as const))('%s is decoded, its type known, its data as sent', (ceType, definition) => {
    const payload = JSON.stringify(jsonExampleOf(definition.desc))
    const record = received(eventRow(tenantId, 7, { type: ceType, stream: definition.stream, payload, subject: 'invitations/inv_1' }))
    const decoded = decode(record)
    expect(decoded.problem).toBeUndefined()
    expect(decoded.place).toEqual({ tenantId, sequence })
    expect(decoded.event).toEqual({
      id: eventRow(tenantId, 7).id,
      tenantId,
      sequence,
      source: `/customer-management/tenants/${tenantId}`,
      subject: 'invitations/inv_1',
      time: '2026-11-25T10:58:39.143339Z',
      recordedtime: String(record.headers['ce_recordedtime']),
      dataschema: `urn:customer-management:event:${ceType}`,
      dataclassification: definition.classification,
      traceparent: '',
      correlationid: 'req-test',
      causationid: '',
      replayid: '',
      type: ceType,
      data: JSON.parse(payload),
    })
  })

  it('of the pseudo-tenant, and one that was parked', () => {
    const { event } = decode(received(eventRow('platform', 7)))
    expect(event).toMatchObject({ tenantId: 'platform', source: '/customer-management/platform' })
    const parked = decode(received(parkedRow(eventRow(tenantId, 7), 'too-large')))
    expect(parked.event).toMatchObject({ type: 'com.enterprise.customer.event.parked.v1', sequence, data: { reason: 'too-large' } })
  })

  it('of a type that only a newer service knows: `unknown`, with its own name and data', () => {
    const type = Buffer.from('com.enterprise.customer.tenant.moved.v2')
    const { event } = decode({ ...good, headers: { ...good.headers, ce_type: type }, value: Buffer.from('{"to": "eu"}') })
    expect(event).toMatchObject({ type: 'unknown', unknownType: String(type), data: { to: 'eu' }, sequence })
    // an object's own names are no types
    expect(decode({ ...good, headers: { ...good.headers, ce_type: 'constructor' } }).event?.type).toBe('unknown')
  })

  it('header values may be text, and attributes of a newer service are no matter', () => {
    const headers = Object.fromEntries(Object.entries(good.headers).map(([name, value]) => [name, String(value)]))
    const { event } = decode({ ...good, headers: { ...headers, 'content-type': 'application/json; charset=utf-8', ce_newer: 'x' } })
    expect(event).toEqual(decode(good).event)
  })
})

describe('a record that is none of ours', () => {
  const headed = (name: string, value: Buffer | string | Buffer[] | undefined): KafkaRecord => ({
    ...good,
    headers: { ...good.headers, [name]: value },
  })
  it.each<[string, KafkaRecord]>([
    ['no headers at all', { ...good, headers: {} }],
    ['structured mode', headed('content-type', 'application/cloudevents+json')],
    ['another version of CloudEvents', headed('ce_specversion', '0.3')],
    ['no id', headed('ce_id', undefined)],
    ['an empty id', headed('ce_id', '')],
    ['no type', headed('ce_type', undefined)],
    ['a source of others', headed('ce_source', '/billing/tenants/tnt_00000000000000000000000001')],
    ['no source', headed('ce_source', undefined)],
    ['a key that is another tenant', { ...good, key: Buffer.from(tenantNumbered(2)) }],
    ['no key', { ...good, key: null }],
    ['a sequence of 19 digits', headed('ce_sequence', sequence.slice(1))],
    ['a sequence that is none', headed('ce_sequence', `-${sequence.slice(1)}`)],
    ['a time that is none', headed('ce_time', 'yesterday')],
    ['a header that comes twice', headed('ce_id', [Buffer.from('a'), Buffer.from('b')])],
    ['no value', { ...good, value: null }],
    ['an empty value', { ...good, value: Buffer.alloc(0) }],
    ['broken JSON', { ...good, value: Buffer.from('{"tenant_id": "tnt_') }],
    ['JSON that is no object', { ...good, value: Buffer.from('[1]') }],
    ['null', { ...good, value: Buffer.from('null') }],
    ['wrong UTF-8', { ...good, value: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }],
  ])('%s is a problem, told in words', (_, record) => {
    const { event, problem } = decode(record)
    expect(event).toBeUndefined()
    expect(problem).toMatch(/^.{5,200}$/)
  })

  it('has its place where the envelope tells it: the number is taken', () => {
    expect(decode({ ...good, value: Buffer.from('{') }).place).toEqual({ tenantId, sequence })
    expect(decode(headed('ce_type', undefined)).place).toEqual({ tenantId, sequence })
    expect(decode(headed('ce_sequence', 'x')).place).toBeUndefined()
  })
})
