import { randomUUID } from 'node:crypto'
import { afterAll, expect, it } from 'vitest'
import { TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
import { newSlug, onboard, theClients } from '../../support/rpc.js'

const clients = theClients()
afterAll(() => clients.close())

it('OK: the tenant is ACTIVE, with the first plan and region', async () => {
  const slug = newSlug()
  const tenant = await onboard(clients, { slug, displayName: ' Acme  ' })
  expect(tenant).toMatchObject({
    slug,
    state: TenantState.TENANT_STATE_ACTIVE,
    plan: 'standard',
    region: 'default',
    displayName: ' Acme  ',
    etag: '1',
  })
  expect(tenant.id).toMatch(/^tnt_[0-9a-z]{26}$/)
  expect(await clients.tenants.getTenant({ tenantId: tenant.id })).toEqual(tenant)
})

it('the same answer again for the same request_id', async () => {
  const request = { slug: newSlug(), requestId: randomUUID(), labels: { a: '1', b: '2' } }
  const first = await onboard(clients, request)
  expect(await onboard(clients, { ...request, labels: { b: '2', a: '1' } })).toEqual(first)
})
