import { expect, it } from 'vitest'
import { describeChange, managing, nobody, theRoom } from '../../support/platform-accounts.js'
import { refusal } from '../../support/refusal.js'
import { onboard } from '../../support/rpc.js'

const room = theRoom()
const update = (platformServiceAccountId: string, more: object) =>
  room().accounts.updatePlatformServiceAccount({ platformServiceAccountId, ...more })

describeChange(room, {
  rpc: 'updatePlatformServiceAccount',
  request: async (it) => ({ platformServiceAccountId: (await it.account()).id, displayName: 'Renamed' }),
  action: 'platform-service-account.update',
  target: 'serviceAccounts',
  unknown: { platformServiceAccountId: nobody },
  bad: { displayName: '', permissions: ['*'], etag: 'e'.repeat(65) },
})

it('OK: what is present is set, what is absent stays; permissions that are not empty replace', async () => {
  const made = await room().account(['view-tenant', 'manage-users'])
  const renamed = await update(made.id, { displayName: 'Other', etag: made.etag })
  expect(renamed).toEqual({ ...made, displayName: 'Other', etag: '2', updateTime: renamed.updateTime })
  expect(renamed.updateTime!.getTime()).toBeGreaterThan(made.updateTime!.getTime())
  const { answer, audit } = await room().writtenBy(() => update(made.id, { permissions: ['view-users', 'manage-users'] }))
  expect(answer).toMatchObject({ displayName: 'Other', permissions: ['manage-users', 'view-users'], etag: '3' })
  expect(audit).toMatchObject([{ changed_fields: ['permissions'] }])
  expect(await room().accounts.getPlatformServiceAccount({ platformServiceAccountId: made.id })).toEqual(answer)
})

it('OK, writing nothing: what it names holds already, in whatever order', async () => {
  const made = await room().account(['view-tenant', 'manage-users'])
  const same = { displayName: made.displayName, permissions: [...made.permissions].reverse() }
  expect(await room().writingNothing(() => update(made.id, same))).toEqual(made)
})

it('UPDATE_EMPTY, ABORTED ETAG_STALE, FAILED_PRECONDITION of a deleted one, writing nothing', async () => {
  const { id, etag } = await room().account()
  const refused = (more: object) => room().writingNothing(() => refusal(update(id, more)))
  expect(await refused({ etag })).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'UPDATE_EMPTY' })
  expect(await refused({ displayName: 'x', etag: '7' })).toMatchObject({ code: 'ABORTED', reason: 'ETAG_STALE' })
  await room().accounts.deletePlatformServiceAccount({ platformServiceAccountId: id })
  expect(await refused({ displayName: 'x' })).toMatchObject({
    code: 'FAILED_PRECONDITION',
    reason: 'PLATFORM_SERVICE_ACCOUNT_DELETED',
  })
})

it('C-012 GRANT_NOT_HELD: what the caller does not hold is given to no account, its own neither; unknown names are refused', async () => {
  const { account, accounts } = await room().caller([managing, 'view-tenant'])
  const other = await room().account(['view-tenant'])
  for (const { id } of [account, other]) {
    const asked = { platformServiceAccountId: id, permissions: [managing, 'view-tenant', 'platform-manage-tenants'] }
    expect(await room().writingNothing(() => refusal(accounts.updatePlatformServiceAccount(asked)))).toMatchObject({
      code: 'PERMISSION_DENIED',
      reason: 'GRANT_NOT_HELD',
      metadata: { permission: 'platform-manage-tenants' },
    })
  }
  expect((await refusal(update(other.id, { permissions: ['view-tenant', 'view-moon'] }))).violations).toMatchObject([
    { field: 'permissions[1]' },
  ])
})

it('a permission that is taken away opens nothing from then on, by whatever key', async () => {
  const { account, clients } = await room().caller(['platform-manage-tenants', 'platform-view-tenants'])
  const { id: tenantId } = await onboard(clients)
  await update(account.id, { permissions: ['platform-view-tenants'] })
  expect(await refusal(clients.tenants.updateTenant({ tenantId, displayName: 'x' }))).toMatchObject({
    code: 'PERMISSION_DENIED',
    reason: 'PERMISSION_MISSING',
  })
  expect((await clients.tenants.getTenant({ tenantId })).id).toBe(tenantId)
})

it('C-012 FAILED_PRECONDITION LAST_PLATFORM_MANAGER: the last one is not narrowed, but may be with another one there', async () => {
  const { principal } = await room().solo.clients.platform.getServerInfo({})
  const narrow = () => update(principal, { permissions: ['platform-view-tenants', 'platform-manage-tenants'] })
  // neither an account without a key, nor a key without the scope, nor a suspended one counts
  await room().account([managing])
  await room().caller([managing, 'view-tenant'], ['view-tenant'])
  const { account, key } = await room().caller([managing])
  await room().accounts.suspendPlatformServiceAccount({ platformServiceAccountId: account.id })
  // what the tests before have left over
  const { platformServiceAccounts: others } = await room().accounts.listPlatformServiceAccounts({ pageSize: 500 })
  for (const { id } of others) {
    if (id !== principal && id !== account.id) await room().accounts.deletePlatformServiceAccount({ platformServiceAccountId: id })
  }
  expect(await room().writingNothing(() => refusal(narrow()))).toMatchObject({
    code: 'FAILED_PRECONDITION',
    reason: 'LAST_PLATFORM_MANAGER',
  })
  expect((await update(principal, { displayName: 'first' })).displayName).toBe('first')
  await room().accounts.resumePlatformServiceAccount({ platformServiceAccountId: account.id })
  expect((await narrow()).permissions).toEqual(['platform-manage-tenants', 'platform-view-tenants'])
  const left = room().connect(key.secret)
  expect((await left.platformAccounts.listPlatformServiceAccounts({})).platformServiceAccounts).toHaveLength(2)
})
