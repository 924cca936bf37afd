import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import { connect } from '../../support/client.js'
import { makeKey } from '../../support/keys.js'
import { refusal } from '../../support/refusal.js'
import { onboard, theClients, thePool, theServer } from '../../support/rpc.js'
import { writingNothing } from '../../support/written.js'

const clients = theClients()
const { tenants } = clients
let tenant: Tenant
beforeAll(async () => {
  tenant = await onboard(clients, {
    labels: { tier: 'gold' },
    contacts: { securityEmail: 'sec@acme.example' },
    plan: 'enterprise',
    region: 'eu',
  })
})
afterAll(() => clients.close())

it('OK: all of it, as it was made', async () => {
  const answer = await writingNothing(tenant.id, () => tenants.getTenant({ tenantId: tenant.id }))
  expect(answer).toEqual(tenant)
  expect(answer).toMatchObject({
    labels: { tier: 'gold' },
    contacts: { securityEmail: 'sec@acme.example' },
    plan: 'enterprise',
    region: 'eu',
    purgeHold: false,
    suspendReason: '',
    accessRevision: '0',
  })
  expect(answer.contacts).not.toHaveProperty('billingEmail', expect.any(String))
  expect(answer.createTime).toEqual(answer.updateTime)
  expect(answer.schemaVersion).toBe((await clients.platform.getServerInfo({})).schemaVersion)
})

it.each([['view-tenant'], ['platform-view-tenants']])('OK: with the permission %s alone', async (scope) => {
  const key = await makeKey(thePool(), [scope])
  const viewing = connect(theServer().address, key.key)
  expect(await viewing.tenants.getTenant({ tenantId: tenant.id })).toEqual(tenant)
  viewing.close()
})

it('NOT_FOUND: in the same words for every id that nobody has', async () => {
  const [first, second] = await Promise.all(
    ['tnt_00000000000000000000000000', `${tenant.id.slice(0, -1)}${tenant.id.endsWith('0') ? '1' : '0'}`].map((tenantId) =>
      refusal(tenants.getTenant({ tenantId })),
    ),
  )
  expect(first).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND', metadata: {} })
  expect(second!.message).toBe(first!.message)
  expect(second!.trailers.get('grpc-status-details-bin')).toEqual(first!.trailers.get('grpc-status-details-bin'))
})

it('INVALID_ARGUMENT: what is no id', async () => {
  for (const tenantId of ['', 'acme', tenant.slug, `${tenant.id}:x`, `${tenant.id} `, `${tenant.id}\n`, tenant.id.toUpperCase()]) {
    const refused = await refusal(tenants.getTenant({ tenantId }))
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', metadata: { violations_total: '1' } })
    expect(refused.violations.map(({ field }) => field)).toEqual(['tenant_id'])
  }
})
