import { randomUUID } from 'node:crypto'
import { beforeAll, expect, it } from 'vitest'
import { TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
import { refusal } from '../../support/refusal.js'
import { newSlug, onboard, theClients } from '../../support/rpc.js'
import { describeTransition } from '../../support/transition.js'
import { writingNothing } from '../../support/written.js'

const clients = theClients()
const { tenants } = clients
const slug = newSlug('delete')
const days = 86_400_000
let tenantId: string
beforeAll(async () => {
  tenantId = (await onboard(clients, { slug })).id
})

describeTransition({
  rpc: 'deleteTenant',
  from: (id) => tenants.undeleteTenant({ tenantId: id }),
  state: TenantState.TENANT_STATE_DELETED,
  event: 'tenant.deleted',
  action: 'tenant.delete',
  whileDeleted: true,
})

it('OK: delete_time now, purge_time 30 days later', async () => {
  await tenants.undeleteTenant({ tenantId })
  const deleted = await tenants.deleteTenant({ tenantId })
  expect(deleted.deleteTime).toEqual(deleted.updateTime)
  expect(deleted.purgeTime!.getTime() - deleted.deleteTime!.getTime()).toBe(30 * days)
})

it('OK: a suspended one too; its state is DELETED then, its suspension stays with it', async () => {
  await tenants.undeleteTenant({ tenantId })
  const suspended = await tenants.suspendTenant({ tenantId, reason: 'fraud' })
  expect(await tenants.deleteTenant({ tenantId })).toMatchObject({
    state: TenantState.TENANT_STATE_DELETED,
    suspendTime: suspended.suspendTime,
    suspendReason: 'fraud',
  })
})

it('a deleted one is shown by GetTenant and ResolveTenant, its events by ListEvents', async () => {
  const deleted = await tenants.deleteTenant({ tenantId })
  expect(await tenants.getTenant({ tenantId })).toEqual(deleted)
  expect(await tenants.resolveTenant({ slug })).toEqual(deleted)
  expect((await clients.events.listEvents({ tenantId })).events.at(-1)?.type).toBe('com.enterprise.customer.tenant.deleted.v1')
})

it('FAILED_PRECONDITION TENANT_DELETED: Update, Suspend and Resume of a deleted one, whatever the etag, writing nothing', async () => {
  const { purgeTime } = await tenants.deleteTenant({ tenantId })
  const attempts = [
    () => tenants.updateTenant({ tenantId, displayName: 'x' }),
    () => tenants.updateTenant({ tenantId, displayName: 'x', etag: 'stale' }),
    () => tenants.updateTenant({ tenantId }),
    () => tenants.suspendTenant({ tenantId, reason: 'x' }),
    () => tenants.resumeTenant({ tenantId }),
  ]
  for (const attempt of attempts) {
    expect(await writingNothing(tenantId, () => refusal(attempt()))).toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'TENANT_DELETED',
      metadata: { purge_time: purgeTime!.toISOString() },
    })
  }
})

it('FAILED_PRECONDITION TENANT_DELETED: the repeat of an update that succeeded before the deletion; undeleted, its first answer', async () => {
  await tenants.undeleteTenant({ tenantId })
  const update = { tenantId, displayName: 'Once', requestId: randomUUID() }
  const first = await tenants.updateTenant(update)
  await tenants.deleteTenant({ tenantId })
  expect(await refusal(tenants.updateTenant(update))).toMatchObject({ reason: 'TENANT_DELETED' })
  await tenants.undeleteTenant({ tenantId })
  expect(await tenants.updateTenant(update)).toEqual(first)
})
