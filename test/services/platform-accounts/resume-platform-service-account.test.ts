import { expect, it } from 'vitest'
import { PlatformServiceAccountState } from '../../../gen/customer/platform/v1/platform_account.js'
import { describeChange, nobody, theRoom } from '../../support/platform-accounts.js'
import { refusal } from '../../support/refusal.js'
import { onboard } from '../../support/rpc.js'

const room = theRoom()
const resume = (platformServiceAccountId: string, more: object = {}) =>
  room().accounts.resumePlatformServiceAccount({ platformServiceAccountId, ...more })
const suspended = async () => room().accounts.suspendPlatformServiceAccount({ platformServiceAccountId: (await room().account()).id })

describeChange(room, {
  rpc: 'resumePlatformServiceAccount',
  request: async () => ({ platformServiceAccountId: (await suspended()).id, reason: 'laptop found' }),
  action: 'platform-service-account.resume',
  target: 'serviceAccounts',
  unknown: { platformServiceAccountId: nobody },
  bad: { reason: 'r'.repeat(501), etag: 'e'.repeat(65) },
})

it('OK: ACTIVE, the next etag; an active one stays as it is, whatever the etag, and nothing is written', async () => {
  const before = await suspended()
  const resumed = await resume(before.id, { etag: before.etag })
  expect(resumed).toEqual({
    ...before,
    state: PlatformServiceAccountState.PLATFORM_SERVICE_ACCOUNT_STATE_ACTIVE,
    etag: '3',
    updateTime: resumed.updateTime,
    suspendTime: undefined,
  })
  expect(await room().writingNothing(() => resume(before.id, { etag: 'stale' }))).toEqual(resumed)
})

it('ABORTED ETAG_STALE; FAILED_PRECONDITION of a deleted one, writing nothing', async () => {
  const { id } = await suspended()
  expect(await room().writingNothing(() => refusal(resume(id, { etag: '1' })))).toMatchObject({ code: 'ABORTED', reason: 'ETAG_STALE' })
  await room().accounts.deletePlatformServiceAccount({ platformServiceAccountId: id })
  expect(await room().writingNothing(() => refusal(resume(id)))).toMatchObject({
    code: 'FAILED_PRECONDITION',
    reason: 'PLATFORM_SERVICE_ACCOUNT_DELETED',
  })
})

it('its keys are good again, but those that were revoked meanwhile', async () => {
  const { account, key, clients } = await room().caller(['platform-manage-tenants'])
  const other = room().connect((await room().key(account)).secret)
  await room().accounts.suspendPlatformServiceAccount({ platformServiceAccountId: account.id })
  await room().accounts.revokePlatformApiKey({ platformApiKeyId: key.id })
  await resume(account.id)
  expect((await onboard(other)).slug).toMatch(/^acme/)
  expect(await refusal(onboard(clients))).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_INVALID' })
})
