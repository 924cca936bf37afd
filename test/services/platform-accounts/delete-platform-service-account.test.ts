import { expect, it } from 'vitest'
import { PlatformApiKeyState, PlatformServiceAccountState } from '../../../gen/customer/platform/v1/platform_account.js'
import { describeChange, managing, nobody, theRoom } from '../../support/platform-accounts.js'
import { refusal } from '../../support/refusal.js'
import { onboard } from '../../support/rpc.js'

const room = theRoom()
const remove = (platformServiceAccountId: string, more: object = {}) =>
  room().accounts.deletePlatformServiceAccount({ platformServiceAccountId, ...more })

describeChange(room, {
  rpc: 'deletePlatformServiceAccount',
  request: async (it) => ({ platformServiceAccountId: (await it.account()).id }),
  action: 'platform-service-account.delete',
  target: 'serviceAccounts',
  unknown: { platformServiceAccountId: nobody },
  bad: { etag: 'e'.repeat(65) },
})

it('OK: DELETED for good, its keys revoked with it; a deleted one stays as it is, whatever the etag, and nothing is written', async () => {
  const { account, key, clients } = await room().caller(['platform-manage-tenants'])
  const before = await room().accounts.revokePlatformApiKey({ platformApiKeyId: (await room().key(account)).id })
  const { answer: deleted, audit } = await room().writtenBy(() => remove(account.id, { etag: account.etag }))
  expect(deleted).toEqual({
    ...account,
    state: PlatformServiceAccountState.PLATFORM_SERVICE_ACCOUNT_STATE_DELETED,
    etag: '2',
    updateTime: deleted.deleteTime,
    deleteTime: expect.any(Date),
  })
  expect(audit).toHaveLength(1)
  const { platformApiKeys } = await room().accounts.listPlatformApiKeys({ platformServiceAccountId: account.id, showDeleted: true })
  const revoked = { state: PlatformApiKeyState.PLATFORM_API_KEY_STATE_REVOKED, revokeTime: deleted.deleteTime, secret: '' }
  expect(platformApiKeys).toEqual([before, { ...key, ...revoked }])
  expect(await refusal(onboard(clients))).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_INVALID' })
  expect(await room().writingNothing(() => remove(account.id, { etag: 'stale' }))).toEqual(deleted)
})

it('OK: of a suspended one, which then is DELETED', async () => {
  const { id } = await room().account()
  await room().accounts.suspendPlatformServiceAccount({ platformServiceAccountId: id })
  expect((await remove(id)).state).toBe(PlatformServiceAccountState.PLATFORM_SERVICE_ACCOUNT_STATE_DELETED)
})

it('ABORTED: a stale etag, writing nothing', async () => {
  const { id } = await room().account()
  expect(await room().writingNothing(() => refusal(remove(id, { etag: '7' })))).toMatchObject({ code: 'ABORTED', reason: 'ETAG_STALE' })
})

it('C-012 FAILED_PRECONDITION LAST_PLATFORM_MANAGER: the last one is not deleted, by itself neither', async () => {
  const { account, accounts } = await room().caller([managing])
  const { principal } = await room().solo.clients.platform.getServerInfo({})
  const { platformServiceAccounts } = await room().accounts.listPlatformServiceAccounts({ pageSize: 500 })
  for (const { id } of platformServiceAccounts) if (id !== account.id && id !== principal) await remove(id)
  await remove(principal)
  expect(
    await room().writingNothing(() => refusal(accounts.deletePlatformServiceAccount({ platformServiceAccountId: account.id }))),
  ).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'LAST_PLATFORM_MANAGER' })
})
