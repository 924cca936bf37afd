import { beforeAll, expect, it } from 'vitest'
import { TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
import { onboard, theClients } from '../../support/rpc.js'
import { describeTransition } from '../../support/transition.js'

const clients = theClients()
const { tenants } = clients
let tenantId: string
beforeAll(async () => {
  tenantId = (await onboard(clients)).id
})

describeTransition({
  rpc: 'undeleteTenant',
  from: (id) => tenants.deleteTenant({ tenantId: id }),
  state: TenantState.TENANT_STATE_ACTIVE,
  event: 'tenant.restored',
  action: 'tenant.undelete',
  more: { reason: 'deleted by mistake' },
  whileDeleted: true,
})

it('OK: delete_time and purge_time are gone', async () => {
  await tenants.deleteTenant({ tenantId })
  expect(await tenants.undeleteTenant({ tenantId })).toMatchObject({ deleteTime: undefined, purgeTime: undefined })
})

it('OK: back to the state from before: a suspended one is SUSPENDED, with its reason', async () => {
  const suspended = await tenants.suspendTenant({ tenantId, reason: 'fraud' })
  await tenants.deleteTenant({ tenantId })
  expect(await tenants.undeleteTenant({ tenantId })).toMatchObject({
    state: TenantState.TENANT_STATE_SUSPENDED,
    suspendReason: 'fraud',
    suspendTime: suspended.suspendTime,
  })
})
