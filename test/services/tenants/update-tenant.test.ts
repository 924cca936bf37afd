import { randomUUID } from 'node:crypto'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { type Tenant, TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
import { type Clients, connect } from '../../support/client.js'
import { makeKey } from '../../support/keys.js'
import { refusal } from '../../support/refusal.js'
import { onboard, theClients, thePool, theServer } from '../../support/rpc.js'
import { expectedPayload } from '../../support/tenant-payload.js'
import { writingNothing, writtenBy } from '../../support/written.js'

const clients = theClients()
const { updateTenant } = clients.tenants
const { id: tenantId } = await onboard(clients)
let tenant: Tenant
beforeEach(async () => {
  tenant = await clients.tenants.getTenant({ tenantId })
})
afterAll(() => clients.close())

const unknown = 'tnt_00000000000000000000000000'
async function withKey<A>(scopes: string[], work: (it: Clients) => Promise<A>): Promise<A> {
  const key = await makeKey(thePool(), scopes)
  const its = connect(theServer().address, key.key)
  return work(its).finally(() => its.close())
}

it('OK: what is named is set, the rest stays; the next etag, the same access_revision; one event and one entry', async () => {
  const request = { tenantId, displayName: ' New name ', etag: tenant.etag }
  const { answer, events, audit } = await writtenBy(tenantId, () => updateTenant(request, { 'x-request-id': 'update-1' }))
  expect(answer).toEqual({ ...tenant, displayName: ' New name ', etag: String(Number(tenant.etag) + 1), updateTime: answer.updateTime })
  expect(answer.updateTime!.getTime()).toBeGreaterThan(tenant.updateTime!.getTime())
  expect(await clients.tenants.getTenant({ tenantId })).toEqual(answer)
  expect(events).toMatchObject([{ type: 'com.enterprise.customer.tenant.updated.v1', subject: '', correlation_id: 'update-1' }])
  expect(events[0]!.data).toEqual({ ...expectedPayload(answer, events[0]!.data), changed_fields: ['display_name'] })
  const entry = { action: 'tenant.update', request_id: 'update-1', changed_fields: ['display_name'], actor: events[0]!.data['actor'] }
  expect(audit.map((it) => it.entry)).toMatchObject([entry])
})

it('OK: every field at once; the event and the entry name those that changed', async () => {
  const request = {
    displayName: `All ${randomUUID()}`,
    plan: tenant.plan === 'enterprise' ? 'standard' : 'enterprise',
    purgeHold: !tenant.purgeHold,
    labels: { run: randomUUID() },
    contacts: { billingEmail: `${randomUUID()}@acme.example` },
  }
  const { answer, events, audit } = await writtenBy(tenantId, () => updateTenant({ tenantId, ...request }))
  expect(answer).toMatchObject(request)
  const all = ['display_name', 'plan', 'purge_hold', 'labels', 'contacts']
  expect(events.map(({ data }) => data)).toEqual([{ ...expectedPayload(answer, events[0]!.data), changed_fields: all }])
  expect(audit.map(({ entry }) => entry['changed_fields'])).toEqual([all])
})

describe('labels', () => {
  it('are merged: set, kept, and removed by an empty value', async () => {
    await updateTenant({ tenantId, labels: { a: '1', b: '2', c: '3' } })
    const { answer, events } = await writtenBy(tenantId, () => updateTenant({ tenantId, labels: { a: '', b: '20', d: '4', none: '' } }))
    expect(answer.labels).toMatchObject({ b: '20', c: '3', d: '4' })
    expect(answer.labels).not.toHaveProperty('a')
    expect(answer.labels).not.toHaveProperty('none')
    expect(events[0]!.data['labels']).toEqual(answer.labels)
  })

  it('INVALID_ARGUMENT: more than 64 in all, writing nothing; as many removed as added is fine', async () => {
    const { id } = await onboard(clients, { labels: Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`l${i}`, '1'])) })
    const refused = await writingNothing(id, () => refusal(updateTenant({ tenantId: id, labels: { one: 'more' } })))
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', violations: [{ field: 'labels' }] })
    expect(Object.keys((await updateTenant({ tenantId: id, labels: { l0: '', one: 'more' } })).labels)).toHaveLength(64)
  })
})

it('contacts: each mailbox stands alone, in canonical form; an empty one is removed', async () => {
  await updateTenant({ tenantId, contacts: { billingEmail: ' Bill@ACME.example', securityEmail: 'sec@acme.example' } })
  const one = await updateTenant({ tenantId, contacts: { securityEmail: 'two@acme.example' } })
  expect(one.contacts).toEqual({ billingEmail: 'bill@acme.example', securityEmail: 'two@acme.example' })
  const none = await updateTenant({ tenantId, contacts: { billingEmail: '' } })
  expect(none.contacts).toEqual({ billingEmail: undefined, securityEmail: 'two@acme.example' })
})

it('INVALID_ARGUMENT UPDATE_EMPTY: no field is named, writing nothing; contacts without a mailbox name none', async () => {
  for (const more of [{}, { contacts: {} }, { etag: tenant.etag, requestId: randomUUID() }, { labels: {} }]) {
    const refused = await writingNothing(tenantId, () => refusal(updateTenant({ tenantId, ...more })))
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'UPDATE_EMPTY' })
  }
})

it('OK, writing nothing: what is named is so already, also in another spelling', async () => {
  const now = await updateTenant({ tenantId, contacts: { billingEmail: 'bill@acme.example' }, labels: { a: '1' } })
  const same = [
    { displayName: now.displayName },
    { plan: now.plan, purgeHold: now.purgeHold, labels: { a: '1', absent: '' } },
    { contacts: { billingEmail: ' BILL@acme.example' }, etag: now.etag },
  ]
  for (const more of same) expect(await writingNothing(tenantId, () => updateTenant({ tenantId, ...more }))).toEqual(now)
})

describe('FIELD_NOT_ALLOWED', () => {
  it('OK: with manage-tenant alone, display_name', async () => {
    const displayName = `Own ${randomUUID()}`
    await withKey(['manage-tenant'], async ({ tenants }) => {
      expect((await tenants.updateTenant({ tenantId, displayName })).displayName).toBe(displayName)
    })
  })

  it.each([
    ['plan', { plan: 'enterprise' }],
    ['plan', { plan: 'no such plan' }],
    ['labels', { labels: { a: '' } }],
    ['contacts', { contacts: { billingEmail: '' } }],
    ['contacts', { contacts: { securityEmail: 'o@-' } }],
    ['purge_hold', { purgeHold: false }],
  ])('PERMISSION_DENIED: with manage-tenant alone, %s, whatever stands beside it: %o', async (field, more) => {
    await withKey(['manage-tenant', 'platform-view-tenants'], async ({ tenants }) => {
      const request = { tenantId, displayName: 'x', etag: 'stale', ...more }
      const refused = await writingNothing(tenantId, () => refusal(tenants.updateTenant(request)))
      expect(refused).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'FIELD_NOT_ALLOWED', metadata: { field } })
    })
  })
})

it('checks permission, then existence, then state, then the etag', async () => {
  await withKey(['platform-view-tenants', 'platform-purge-tenants'], async ({ tenants }) => {
    expect(await refusal(tenants.updateTenant({ tenantId: unknown, displayName: 'x', etag: 'x' }))).toMatchObject({
      code: 'PERMISSION_DENIED',
      reason: 'PERMISSION_MISSING',
      metadata: { permission: 'platform-manage-tenants' },
    })
  })
  expect(await refusal(updateTenant({ tenantId: unknown, displayName: 'x', etag: 'x' }))).toMatchObject({ reason: 'TENANT_NOT_FOUND' })
  await withKey(['manage-tenant'], async ({ tenants }) => {
    expect(await refusal(tenants.updateTenant({ tenantId: unknown, plan: 'x' }))).toMatchObject({ reason: 'TENANT_NOT_FOUND' })
  })
  await clients.tenants.deleteTenant({ tenantId })
  expect(await refusal(updateTenant({ tenantId, displayName: 'x', etag: 'x' }))).toMatchObject({ reason: 'TENANT_DELETED' })
  await clients.tenants.undeleteTenant({ tenantId })
})

it('ABORTED ETAG_STALE: writing nothing, also where nothing would change', async () => {
  for (const displayName of ['x', tenant.displayName]) {
    const refused = await writingNothing(tenantId, () => refusal(updateTenant({ tenantId, displayName, etag: `${tenant.etag}0` })))
    expect(refused).toMatchObject({ code: 'ABORTED', reason: 'ETAG_STALE', metadata: {} })
  }
})

it('of ten updates at once under one etag, one passes', async () => {
  const { answer, events } = await writtenBy(tenantId, () =>
    Promise.allSettled(Array.from({ length: 10 }, (_, i) => updateTenant({ tenantId, displayName: `Race ${i}`, etag: tenant.etag }))),
  )
  expect(answer.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  for (const it of answer) if (it.status === 'rejected') expect(it.reason).toMatchObject({ code: 'ABORTED', reason: 'ETAG_STALE' })
  expect(events).toHaveLength(1)
})

it('C-076 the same request_id gives the first answer again, also when the tenant has moved on, and writes nothing', async () => {
  const request = { tenantId, displayName: `Once ${randomUUID()}`, labels: { x: '1', y: '2' }, requestId: randomUUID(), etag: tenant.etag }
  const first = await updateTenant(request)
  await updateTenant({ tenantId, displayName: 'Later' })
  expect(await writingNothing(tenantId, () => updateTenant({ ...request, labels: { y: '2', x: '1' } }))).toEqual(first)
})

it('INVALID_ARGUMENT REQUEST_ID_REUSED: with another body, an absent field for an empty one, or another tenant', async () => {
  const other = await onboard(clients)
  const request = { tenantId, displayName: 'Same', contacts: { billingEmail: '' }, requestId: randomUUID() }
  await updateTenant(request)
  for (const change of [{ displayName: 'Other' }, { contacts: {} }, { tenantId: other.id }, { purgeHold: false }]) {
    const refused = await writingNothing(other.id, () => refusal(updateTenant({ ...request, ...change })))
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'REQUEST_ID_REUSED' })
  }
})

it('INVALID_ARGUMENT: every field that breaks its rule, and options that are none, writing nothing', async () => {
  const bad = { displayName: ' ', plan: '', labels: { A: '1' }, contacts: { billingEmail: 'x' }, etag: 'e'.repeat(65), requestId: 'x' }
  const refused = await writingNothing(tenantId, () => refusal(updateTenant({ tenantId, ...bad })))
  expect(refused.violations.map(({ field }) => field)).toEqual([
    'display_name',
    'plan',
    'labels["A"]',
    'contacts.billing_email',
    'etag',
    'request_id',
  ])
  const option = await writingNothing(tenantId, () => refusal(updateTenant({ tenantId, plan: 'gold' })))
  expect(option).toMatchObject({ reason: 'OPTION_UNKNOWN', metadata: { field: 'plan', allowed: 'standard,enterprise' } })
  const mail = await writingNothing(tenantId, () => refusal(updateTenant({ tenantId, contacts: { securityEmail: 'o@a..b' } })))
  expect(mail).toMatchObject({ reason: 'FIELD_INVALID', violations: [{ field: 'contacts.security_email' }] })
})

it('OK: a suspended tenant is written by the platform, and stays suspended', async () => {
  await clients.tenants.suspendTenant({ tenantId, reason: 'x' })
  const { answer, events } = await writtenBy(tenantId, () => updateTenant({ tenantId, displayName: `S ${randomUUID()}` }))
  expect(answer.state).toBe(TenantState.TENANT_STATE_SUSPENDED)
  expect(events[0]!.data).toMatchObject({ state: 'TENANT_STATE_SUSPENDED' })
  await clients.tenants.resumeTenant({ tenantId })
})
