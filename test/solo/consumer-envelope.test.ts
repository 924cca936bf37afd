import { randomUUID } from 'node:crypto'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { Kafka as Binding, type CloudEvent } from 'cloudevents'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { newSlug } from '../support/rpc.js'
import { type Solo, startSolo } from '../support/solo.js'
import { type ReadRecord, readTopics, type TopicReader } from '../support/topic-reader.js'
import { until } from '../support/until.js'

const brokers = inject('kafkaBrokers')
const generous = { timeoutMs: 30_000 }
const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

describe.skipIf(!brokers)('what a consumer of the topic has in hand', () => {
  let solo: Solo
  let reader: TopicReader
  let tenant: Tenant
  let records: ReadRecord[]
  beforeAll(async () => {
    solo = await startSolo({ kafka: true })
    const request = { slug: newSlug(), displayName: 'Zoë 🚀 Ltd', ownerEmail: 'owner@acme.example', requestId: randomUUID() }
    tenant = await solo.clients.tenants.createTenant(request, { traceparent, 'x-request-id': 'req-of-the-test' })
    await solo.clients.tenants.suspendTenant({ tenantId: tenant.id, reason: 'unpaid' })
    reader = await readTopics({ brokers: brokers!, topics: Object.values(topicsOf(solo.prefix).byStream) })
    await until(() => reader.has(tenant.id, 3), generous)
    records = [...reader.records]
  })
  afterAll(async () => {
    await reader?.stop()
    await solo?.stop()
  })

  it('C-080 every attribute stands in its header, and none without a value', async () => {
    const { events } = await solo.clients.events.listEvents({ tenantId: tenant.id })
    expect(records.map(({ topic, key }) => [topic, key])).toEqual(events.map(() => [topicsOf(solo.prefix).byStream.domain, tenant.id]))
    for (const [nth, { headers, value }] of records.entries()) {
      const event = events[nth]!
      const { ce_recordedtime: recordedTime, ...others } = headers
      const filled = {
        ce_id: event.id,
        ce_source: `/customer-management/tenants/${tenant.id}`,
        ce_specversion: '1.0',
        ce_type: event.type,
        ...(event.subject ? { ce_subject: event.subject } : {}),
        ce_time: event.time,
        ce_dataschema: `urn:customer-management:event:${event.type}`,
        ce_partitionkey: tenant.id,
        ce_sequence: String(nth + 1).padStart(20, '0'),
        ...(event.traceparent ? { ce_traceparent: event.traceparent } : {}),
        ce_correlationid: event.correlationid,
        ce_dataclassification: event.dataclassification,
        'content-type': 'application/json',
      }
      expect(others).toEqual(filled)
      expect(value).toBe(event.data)
      expect(recordedTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      // both clocks are this machine's; the header has milliseconds
      expect(Date.parse(recordedTime!)).toBeGreaterThanOrEqual(Date.parse(event.time))
    }
    expect(records[0]!.headers).toMatchObject({ ce_correlationid: 'req-of-the-test', ce_dataclassification: 'confidential' })
    expect(records[0]!.headers['ce_traceparent']).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-/)
  })

  it('C-080 the cloudevents package decodes each record, and its data fits the schema of its dataschema', async () => {
    const { eventTypes } = await solo.clients.events.listEventTypes({})
    const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true })
    ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
    for (const { key, headers, value } of records) {
      const event = Binding.toEvent({ key, headers: { ...headers }, value, body: value } as never) as CloudEvent<unknown>
      expect(event.validate()).toBe(true)
      expect(event).toMatchObject({
        id: headers['ce_id'],
        partitionkey: tenant.id,
        datacontenttype: 'application/json',
        data: JSON.parse(value),
      })
      const described = eventTypes.find(({ dataschema }) => dataschema === event.dataschema)!
      expect(described.type).toBe(event.type)
      const validate = ajv.compile(JSON.parse(described.jsonSchema))
      expect(validate(event.data), JSON.stringify(validate.errors)).toBe(true)
    }
  })

  it('C-080 Kafka and JSON are enough: onboarding, suspension, no gap, no repeat of (source, id)', () => {
    const told = records.map(({ headers, value }) => ({ type: headers['ce_type']!.split('.').slice(3, 5).join('.'), ...JSON.parse(value) }))
    expect(told.map(({ type }) => type)).toEqual(['tenant.created', 'invitation.created', 'tenant.suspended'])
    expect(told[0]).toMatchObject({ tenant_id: tenant.id, slug: tenant.slug, display_name: 'Zoë 🚀 Ltd', state: 'TENANT_STATE_ACTIVE' })
    expect(told[2]).toMatchObject({ state: 'TENANT_STATE_SUSPENDED' })
    expect(records.map(({ value }) => value).join()).not.toMatch(/owner@acme|unpaid/)
    expect(new Set(records.map(({ headers }) => `${headers['ce_source']} ${headers['ce_id']}`)).size).toBe(records.length)
  })

  it('C-080 a repeat has the id, source, sequence and data of the first: whoever keeps (source, id) drops it', async () => {
    await solo.superuser.query('update platform.relay_positions set sent = 0 where tenant_id = $1', [tenant.id])
    await until(() => reader.tally().repeats === records.length, generous)
    const again = reader.records.slice(records.length)
    const stable = ({ headers: { ce_recordedtime: _, ...headers }, ...record }: ReadRecord) => ({ ...record, headers })
    expect(again.map(stable)).toEqual(records.map(stable))
  })
})
