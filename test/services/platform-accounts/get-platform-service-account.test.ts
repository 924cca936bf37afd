import { expect, it } from 'vitest'
import { PlatformServiceAccountState } from '../../../gen/customer/platform/v1/platform_account.js'
import { managing, nobody, theRoom } from '../../support/platform-accounts.js'
import { refusal } from '../../support/refusal.js'

const room = theRoom()
const get = (platformServiceAccountId: string) => room().accounts.getPlatformServiceAccount({ platformServiceAccountId })

it('OK: active, suspended and deleted, as the last change left it; to a caller who holds less, too', async () => {
  const { accounts } = await room().caller([managing])
  const { id, ...made } = await room().account(['manage-users'])
  expect(await accounts.getPlatformServiceAccount({ platformServiceAccountId: id })).toEqual({ id, ...made })
  const suspended = await room().accounts.suspendPlatformServiceAccount({ platformServiceAccountId: id })
  expect(await get(id)).toEqual(suspended)
  const deleted = await room().accounts.deletePlatformServiceAccount({ platformServiceAccountId: id })
  expect(await get(id)).toEqual(deleted)
  expect(deleted.state).toBe(PlatformServiceAccountState.PLATFORM_SERVICE_ACCOUNT_STATE_DELETED)
})

it('OK: the holder of the first key shows *', async () => {
  const { principal } = await room().solo.clients.platform.getServerInfo({})
  expect(await get(principal)).toMatchObject({ permissions: ['*'], displayName: 'bootstrap' })
})

it('NOT_FOUND, INVALID_ARGUMENT, PERMISSION_DENIED', async () => {
  expect(await refusal(get(nobody))).toMatchObject({ code: 'NOT_FOUND', reason: 'PLATFORM_SERVICE_ACCOUNT_NOT_FOUND' })
  for (const wrong of ['', 'psa_X', nobody.toUpperCase(), `${nobody}:suspend`, nobody.replace('psa', 'sva')]) {
    expect((await refusal(get(wrong))).violations).toMatchObject([{ field: 'platform_service_account_id' }])
  }
  const { account, accounts } = await room().caller(['platform-view-tenants'])
  expect(await refusal(accounts.getPlatformServiceAccount({ platformServiceAccountId: account.id }))).toMatchObject({
    code: 'PERMISSION_DENIED',
    metadata: { permission: managing },
  })
})
