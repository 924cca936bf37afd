import { expect, it } from 'vitest'
import { PlatformServiceAccountState } from '../../../gen/customer/platform/v1/platform_account.js'
import { describeChange, managing, theRoom } from '../../support/platform-accounts.js'
import { refusal } from '../../support/refusal.js'

const room = theRoom()

describeChange(room, {
  rpc: 'createPlatformServiceAccount',
  request: async () => ({ displayName: 'Deployment tool', permissions: ['platform-view-tenants'] }),
  action: 'platform-service-account.create',
  target: 'serviceAccounts',
  bad: { displayName: ' \t', permissions: ['view tenants'] },
})

it('OK: ACTIVE, its permissions in order, the platform’s and tenants’; it has no key', async () => {
  const permissions = ['view-analytics', 'platform-view-tenants', 'manage-users']
  const made = await room().accounts.createPlatformServiceAccount({ displayName: 'Tool <7>', permissions })
  expect(made).toEqual({
    id: expect.stringMatching(/^psa_[0-9a-z]{26}$/),
    displayName: 'Tool <7>',
    permissions: ['manage-users', 'platform-view-tenants', 'view-analytics'],
    state: PlatformServiceAccountState.PLATFORM_SERVICE_ACCOUNT_STATE_ACTIVE,
    etag: '1',
    createTime: expect.any(Date),
    updateTime: made.createTime,
    suspendTime: undefined,
    deleteTime: undefined,
  })
  expect(await room().accounts.getPlatformServiceAccount({ platformServiceAccountId: made.id })).toEqual(made)
  expect((await room().accounts.listPlatformApiKeys({ platformServiceAccountId: made.id })).platformApiKeys).toEqual([])
})

it('C-012 PERMISSION_DENIED GRANT_NOT_HELD: a permission that the caller’s key does not open now, be its account’s', async () => {
  const { accounts } = await room().caller([managing, 'manage-users', 'view-tenant'], [managing, 'manage-users'])
  const make = (permissions: string[]) => accounts.createPlatformServiceAccount({ displayName: 'Tool', permissions })
  for (const permission of ['view-tenant', 'platform-view-tenants']) {
    expect(await room().writingNothing(() => refusal(make(['manage-users', permission])))).toMatchObject({
      code: 'PERMISSION_DENIED',
      reason: 'GRANT_NOT_HELD',
      metadata: { permission },
    })
  }
  expect((await make([managing, 'manage-users'])).permissions).toEqual(['manage-users', managing])
})

it('C-012 the ceiling is what the caller holds at the commit: what it loses meanwhile it does not grant', async () => {
  const { account, accounts } = await room().caller([managing, 'manage-users'])
  const grant = () => accounts.createPlatformServiceAccount({ displayName: 'Late', permissions: ['manage-users'] })
  const narrow = () => room().accounts.updatePlatformServiceAccount({ platformServiceAccountId: account.id, permissions: [managing] })
  expect(await room().atOnce(narrow, grant)).toMatchObject([
    { status: 'fulfilled' },
    { status: 'rejected', reason: { code: 'PERMISSION_DENIED', reason: 'GRANT_NOT_HELD' } },
  ])
})

it('INVALID_ARGUMENT: *, none, more than 64, one twice, and one that this service does not know', async () => {
  const violated = async (permissions: string[]) => {
    const make = () => room().accounts.createPlatformServiceAccount({ displayName: 'Tool', permissions })
    const { reason, violations } = await room().writingNothing(() => refusal(make()))
    expect(reason).toBe('FIELD_INVALID')
    return violations.map(({ field }) => field)
  }
  expect(await violated(['*'])).toEqual(['permissions[0]'])
  expect(await violated([])).toEqual(['permissions'])
  expect(await violated(['view-tenant', 'view-tenant'])).toEqual(['permissions'])
  expect(await violated(Array.from({ length: 65 }, (_, i) => `view-${'x'.repeat(i + 1)}`))).toContain('permissions')
  expect(await violated(['view-tenant', 'platform-do-everything'])).toEqual(['permissions[1]'])
  expect(await violated(['view-tenants'])).toEqual(['permissions[0]'])
})
