import { beforeAll, expect, it } from 'vitest'
import { TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
import { onboard, theClients } from '../../support/rpc.js'
import { describeTransition } from '../../support/transition.js'
import { writtenBy } from '../../support/written.js'

const clients = theClients()
const { tenants } = clients
let tenantId: string
beforeAll(async () => {
  tenantId = (await onboard(clients)).id
})

describeTransition({
  rpc: 'resumeTenant',
  from: async (id) => {
    await tenants.undeleteTenant({ tenantId: id })
    await tenants.suspendTenant({ tenantId: id, reason: 'invoice overdue' })
  },
  state: TenantState.TENANT_STATE_ACTIVE,
  event: 'tenant.resumed',
  action: 'tenant.resume',
  more: { reason: 'invoice paid' },
  whileDeleted: false,
})

it('OK: suspend_time and suspend_reason are gone', async () => {
  await tenants.suspendTenant({ tenantId, reason: 'invoice overdue' })
  expect(await tenants.resumeTenant({ tenantId })).toMatchObject({ suspendTime: undefined, suspendReason: '' })
})

it('OK: without a reason, which then does not stand in the trail', async () => {
  await tenants.suspendTenant({ tenantId, reason: 'invoice overdue' })
  const { audit } = await writtenBy(tenantId, () => tenants.resumeTenant({ tenantId }))
  expect(audit.map(({ entry }) => 'reason' in entry)).toEqual([false])
})
