import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Event } from '../../../gen/customer/event/v1/event.js'
import { connect } from '../../support/client.js'
import { makeKey } from '../../support/keys.js'
import { refusal } from '../../support/refusal.js'
import { onboard, theClients, thePool, theServer, theSuperuser } from '../../support/rpc.js'
import { keptOf, writingNothing } from '../../support/written.js'

const clients = theClients()
const { tenants, events } = clients
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
let tenantId: string
let all: readonly Event[]
beforeAll(async () => {
  tenantId = (await onboard(clients)).id
  await tenants.updateTenant({ tenantId, displayName: 'Two' }, { traceparent, 'x-request-id': 'list-events-1' })
  await tenants.suspendTenant({ tenantId, reason: 'x' })
  await tenants.resumeTenant({ tenantId })
  all = (await events.listEvents({ tenantId })).events
})
afterAll(() => clients.close())

const type = (name: string) => `com.enterprise.customer.${name}.v1`
const text = (sequence: number) => String(sequence).padStart(20, '0')
const sequences = (found: readonly Event[]) => found.map(({ sequence }) => Number(sequence))

it('OK: all events in the order of their sequence, as CloudEvents, as they are stored', async () => {
  expect(all.map((it) => it.type)).toEqual(
    ['tenant.created', 'invitation.created', 'tenant.updated', 'tenant.suspended', 'tenant.resumed'].map(type),
  )
  const kept = await keptOf(tenantId)
  for (const [i, it] of all.entries()) {
    const row = kept.events[i]!
    expect(it).toEqual({
      id: row.id,
      source: `/customer-management/tenants/${tenantId}`,
      specversion: '1.0',
      type: row.type,
      subject: row.subject,
      time: it.time,
      dataschema: `urn:customer-management:event:${row.type}`,
      partitionkey: tenantId,
      sequence: text(i + 1),
      traceparent: row.traceparent,
      correlationid: row.correlation_id,
      causationid: '',
      dataclassification: row.type.includes('.tenant.') ? 'confidential' : 'internal',
      datacontenttype: 'application/json',
      data: it.data,
    })
    expect(JSON.parse(it.data)).toEqual(row.data)
    expect(it.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    expect(Date.parse(it.time)).toBe(row.time.getTime())
  }
  expect([...all].sort((a, b) => (a.time < b.time ? -1 : 1))).toEqual(all)
})

it('an event bears the trace and the x-request-id of the call that caused it', () => {
  expect(all[2]).toMatchObject({ traceparent, correlationid: 'list-events-1' })
})

it('OK: pages after a sequence; last_sequence is the next cursor, also behind the last event', async () => {
  const found: Event[] = []
  let afterSequence = ''
  for (let page = 1; page <= 4; page++) {
    const answer = await events.listEvents({ tenantId, afterSequence, pageSize: 2 })
    expect(answer.lastSequence).toBe(text(Math.min(page * 2, 5)))
    found.push(...answer.events)
    afterSequence = answer.lastSequence
  }
  expect(found).toEqual(all)
  expect(await events.listEvents({ tenantId, afterSequence: '4', pageSize: 500 })).toEqual({ events: all.slice(4), lastSequence: text(5) })
})

it('OK: of one type; last_sequence tells how far it has looked', async () => {
  const only = await events.listEvents({ tenantId, eventType: type('tenant.updated') })
  expect(only).toEqual({ events: [all[2]], lastSequence: text(5) })
  const cut = await events.listEvents({ tenantId, eventType: type('tenant.created'), pageSize: 1 })
  expect(cut).toEqual({ events: [all[0]], lastSequence: text(1) })
  const none = await events.listEvents({ tenantId, eventType: type('tenant.purged') })
  expect(none).toEqual({ events: [], lastSequence: text(5) })
})

it('OK: page_size 0 and 501, reading writes nothing', async () => {
  for (const pageSize of [0, 501]) {
    expect(sequences((await writingNothing(tenantId, () => events.listEvents({ tenantId, pageSize }))).events)).toEqual([1, 2, 3, 4, 5])
  }
})

it('OUT_OF_RANGE CURSOR_AHEAD: beyond the last event, with its sequence', async () => {
  for (const afterSequence of ['6', text(7), '9'.repeat(20)]) {
    expect(await refusal(events.listEvents({ tenantId, afterSequence }))).toMatchObject({
      code: 'OUT_OF_RANGE',
      reason: 'CURSOR_AHEAD',
      metadata: { last_sequence: text(5) },
    })
  }
})

it('INVALID_ARGUMENT: a cursor, type or size that is none', async () => {
  const bad: [object, string][] = [
    [{ afterSequence: '-1' }, 'after_sequence'],
    [{ afterSequence: '1'.repeat(21) }, 'after_sequence'],
    [{ afterSequence: '0x1' }, 'after_sequence'],
    [{ eventType: 'Tenant' }, 'event_type'],
    [{ pageSize: -1 }, 'page_size'],
    [{ tenantId: 'tnt_x' }, 'tenant_id'],
  ]
  for (const [request, field] of bad) {
    expect(await refusal(events.listEvents({ tenantId, ...request }))).toMatchObject({ code: 'INVALID_ARGUMENT', violations: [{ field }] })
  }
})

describe('who may read', () => {
  it.each([['view-audit'], ['platform-view-events']])('OK: with %s alone', async (scope) => {
    const key = await makeKey(thePool(), [scope])
    const its = connect(theServer().address, key.key)
    expect(sequences((await its.events.listEvents({ tenantId })).events)).toEqual([1, 2, 3, 4, 5])
    its.close()
  })

  it('NOT_FOUND: of a tenant that is none', async () => {
    const refused = await refusal(events.listEvents({ tenantId: 'tnt_00000000000000000000000000', afterSequence: '99' }))
    expect(refused).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' })
  })
})

it('OUT_OF_RANGE CURSOR_EXPIRED: events behind the cursor are no longer kept, with the oldest that is', async () => {
  const { id } = await onboard(clients)
  await tenants.updateTenant({ tenantId: id, displayName: 'Two' })
  await theSuperuser().query('delete from platform.events where tenant_id = $1 and sequence < 3', [id])
  for (const afterSequence of ['0', '1']) {
    expect(await refusal(events.listEvents({ tenantId: id, afterSequence }))).toMatchObject({
      code: 'OUT_OF_RANGE',
      reason: 'CURSOR_EXPIRED',
      metadata: { oldest_sequence: text(3) },
    })
  }
  for (const afterSequence of ['2', '']) {
    expect(sequences((await events.listEvents({ tenantId: id, afterSequence })).events)).toEqual([3])
  }
  await theSuperuser().query('delete from platform.events where tenant_id = $1', [id])
  expect(await events.listEvents({ tenantId: id, afterSequence: '3' })).toEqual({ events: [], lastSequence: text(3) })
})
