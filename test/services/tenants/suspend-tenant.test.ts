import { beforeAll, expect, it } from 'vitest'
import { TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
import { refusal } from '../../support/refusal.js'
import { onboard, theClients } from '../../support/rpc.js'
import { describeTransition } from '../../support/transition.js'
import { writingNothing } from '../../support/written.js'

const clients = theClients()
const { tenants } = clients
let tenantId: string
beforeAll(async () => {
  tenantId = (await onboard(clients)).id
})

describeTransition({
  rpc: 'suspendTenant',
  from: async (id) => {
    await tenants.undeleteTenant({ tenantId: id })
    await tenants.resumeTenant({ tenantId: id })
  },
  state: TenantState.TENANT_STATE_SUSPENDED,
  event: 'tenant.suspended',
  action: 'tenant.suspend',
  more: { reason: 'invoice overdue' },
  whileDeleted: false,
})

it('OK: suspend_time and suspend_reason; the platform still reads and writes it', async () => {
  const suspended = await tenants.suspendTenant({ tenantId, reason: 'invoice 7 <overdue>' })
  expect(suspended).toMatchObject({ suspendReason: 'invoice 7 <overdue>', suspendTime: suspended.updateTime, deleteTime: undefined })
  expect(await tenants.getTenant({ tenantId })).toEqual(suspended)
  expect(await tenants.resolveTenant({ slug: suspended.slug })).toEqual(suspended)
  const updated = await tenants.updateTenant({ tenantId, displayName: 'Still here' })
  expect(updated).toMatchObject({
    displayName: 'Still here',
    state: TenantState.TENANT_STATE_SUSPENDED,
    suspendReason: 'invoice 7 <overdue>',
  })
  expect((await clients.events.listEvents({ tenantId })).events.length).toBeGreaterThan(2)
})

it('INVALID_ARGUMENT: without a reason, or one of white space, writing nothing', async () => {
  for (const reason of ['', ' \t\n']) {
    const refused = await writingNothing(tenantId, () => refusal(tenants.suspendTenant({ tenantId, reason })))
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' })
    expect(refused.violations[0]?.field).toBe('reason')
  }
})
