import { afterAll, beforeAll, expect, it } from 'vitest'
import { connect } from '../../support/client.js'
import { makeKey } from '../../support/keys.js'
import { refusal } from '../../support/refusal.js'
import { onboard, theClients, thePool, theServer } from '../../support/rpc.js'
import { writingNothing } from '../../support/written.js'

const clients = theClients()
const { batchGetTenants, getTenant, deleteTenant, suspendTenant } = clients.tenants
const ids: string[] = []
beforeAll(async () => {
  for (let nth = 0; nth < 3; nth++) ids.push((await onboard(clients)).id)
})
afterAll(() => clients.close())

const unknown = (nth = 0) => `tnt_0000000000000000000000${String(nth).padStart(4, '0')}`

it('OK: in the order of the request, as GetTenant shows them, also suspended and deleted ones', async () => {
  await suspendTenant({ tenantId: ids[0]!, reason: 'invoice overdue' })
  await deleteTenant({ tenantId: ids[1]! })
  for (const tenantIds of [ids, [...ids].reverse(), [ids[1]!]]) {
    const { tenants } = await writingNothing(ids[0]!, () => batchGetTenants({ tenantIds }))
    expect(tenants).toEqual(await Promise.all(tenantIds.map((tenantId) => getTenant({ tenantId }))))
  }
})

it('OK: with platform-view-tenants alone; a tenant’s permission opens nothing', async () => {
  const viewer = await makeKey(thePool(), ['platform-view-tenants'])
  const viewing = connect(theServer().address, viewer.key)
  expect((await viewing.tenants.batchGetTenants({ tenantIds: ids })).tenants.map(({ id }) => id)).toEqual(ids)
  viewing.close()
  const other = await makeKey(thePool(), ['view-tenant'])
  const others = connect(theServer().address, other.key)
  expect(await refusal(others.tenants.batchGetTenants({ tenantIds: ids }))).toMatchObject({
    code: 'PERMISSION_DENIED',
    metadata: { permission: 'platform-view-tenants' },
  })
  others.close()
})

it('NOT_FOUND: all or none; the ids that are not there, in the order of the request', async () => {
  const refused = await refusal(batchGetTenants({ tenantIds: [unknown(2), ids[0]!, unknown(1)] }))
  expect(refused).toMatchObject({
    code: 'NOT_FOUND',
    reason: 'TENANT_NOT_FOUND',
    metadata: { tenant_ids: `${unknown(2)},${unknown(1)}`, not_found_total: '2' },
  })
})

it('NOT_FOUND: of a hundred, the first 20 by name, and how many', async () => {
  const tenantIds = Array.from({ length: 100 }, (_, nth) => unknown(nth))
  const { metadata } = await refusal(batchGetTenants({ tenantIds }))
  expect(metadata).toEqual({ tenant_ids: tenantIds.slice(0, 20).join(','), not_found_total: '100' })
})

it('INVALID_ARGUMENT: none, more than a hundred, one twice, what is no id', async () => {
  const tooMany = Array.from({ length: 101 }, (_, nth) => unknown(nth))
  for (const [tenantIds, field] of [
    [[], 'tenant_ids'],
    [tooMany, 'tenant_ids'],
    [[ids[0]!, ids[1]!, ids[0]!], 'tenant_ids'],
    [[ids[0]!, 'acme'], 'tenant_ids[1]'],
    [[''], 'tenant_ids[0]'],
  ] as const) {
    const refused = await refusal(batchGetTenants({ tenantIds: [...tenantIds] }))
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', violations: [{ field }] })
  }
})
