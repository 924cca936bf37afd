import { afterAll, expect, it } from 'vitest'
import { connect } from '../../support/client.js'
import { makeKey } from '../../support/keys.js'
import { refusal } from '../../support/refusal.js'
import { onboard, theClients, thePool, theServer, theSuperuser } from '../../support/rpc.js'
import { schemaOf, writingNothing } from '../../support/written.js'

const clients = theClients()
const { getTenantSettings, deleteTenant, suspendTenant } = clients.tenants
const { id: tenantId } = await onboard(clients)
afterAll(() => clients.close())

const defaults = {
  password: { minLength: 15 },
  session: { idleSeconds: 86_400, absoluteSeconds: 2_592_000 },
  mfa: { required: false },
  retention: { auditDays: 365, auditDaysInForce: 365, effectiveTime: undefined },
  etag: '1',
  updateTime: undefined,
}

it("OK: the platform's defaults, where nothing was ever set; writing nothing", async () => {
  expect(await writingNothing(tenantId, () => getTenantSettings({ tenantId }))).toEqual(defaults)
})

it.each([['view-tenant'], ['platform-view-tenants']])('OK: with the permission %s alone', async (scope) => {
  const key = await makeKey(thePool(), [scope])
  const viewing = connect(theServer().address, key.key)
  expect(await viewing.tenants.getTenantSettings({ tenantId })).toEqual(defaults)
  viewing.close()
})

it('OK: of a suspended tenant, to the platform', async () => {
  const { id } = await onboard(clients)
  await suspendTenant({ tenantId: id, reason: 'x' })
  expect(await getTenantSettings({ tenantId: id })).toEqual(defaults)
})

it('FAILED_PRECONDITION TENANT_DELETED, and NOT_FOUND for an id that nobody has', async () => {
  const { id } = await onboard(clients)
  const { purgeTime } = await deleteTenant({ tenantId: id })
  expect(await refusal(getTenantSettings({ tenantId: id }))).toMatchObject({
    code: 'FAILED_PRECONDITION',
    reason: 'TENANT_DELETED',
    metadata: { purge_time: purgeTime!.toISOString() },
  })
  expect(await refusal(getTenantSettings({ tenantId: 'tnt_00000000000000000000000000' }))).toMatchObject({
    code: 'NOT_FOUND',
    reason: 'TENANT_NOT_FOUND',
  })
})

it('INVALID_ARGUMENT: what is no id', async () => {
  for (const wrong of ['', 'acme', `${tenantId}:settings`]) {
    expect((await refusal(getTenantSettings({ tenantId: wrong }))).violations).toMatchObject([{ field: 'tenant_id' }])
  }
})

it('UNAVAILABLE, to be tried again: the schema is one version behind this server, to the reader and to the writer', async () => {
  const { id } = await onboard(clients)
  await theSuperuser().query(`alter table ${schemaOf(id)}.tenant_state drop column mfa_required`)
  for (const call of [
    () => getTenantSettings({ tenantId: id }),
    () => clients.tenants.updateTenantSettings({ tenantId: id, mfa: { required: true } }),
  ]) {
    expect(await refusal(call())).toMatchObject({ code: 'UNAVAILABLE', reason: 'DEPENDENCY_DOWN', retryAfterMs: 1000 })
  }
})
