import { afterAll, expect, it } from 'vitest'
import { refusal } from '../../support/refusal.js'
import { theClients } from '../../support/rpc.js'

const clients = theClients()
const { getEventType, listEventTypes } = clients.events
afterAll(() => clients.close())

it('OK: each as it is listed', async () => {
  for (const it of (await listEventTypes({})).eventTypes) expect(await getEventType({ eventType: it.type })).toEqual(it)
})

it('NOT_FOUND EVENT_TYPE_NOT_FOUND: a type that is none, a part of one, the short name', async () => {
  const known = 'com.enterprise.customer.tenant.created.v1'
  for (const eventType of [
    known.slice(0, -1),
    `${known}0`,
    'tenant.created',
    'com.enterprise.customer.tenant.created.v2',
    '.',
    'constructor',
  ]) {
    expect(await refusal(getEventType({ eventType }))).toMatchObject({ code: 'NOT_FOUND', reason: 'EVENT_TYPE_NOT_FOUND' })
  }
})

it('INVALID_ARGUMENT: what can be no type', async () => {
  for (const eventType of ['', 'Tenant', 'a/b', 'a b', 'a'.repeat(101), '__proto__']) {
    const refused = await refusal(getEventType({ eventType }))
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', violations: [{ field: 'event_type' }] })
  }
})
