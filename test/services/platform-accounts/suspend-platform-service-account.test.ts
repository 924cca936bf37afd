import { expect, it } from 'vitest'
import { PlatformServiceAccountState } from '../../../gen/customer/platform/v1/platform_account.js'
import { type Caller, dayMs, describeChange, managing, nobody, theRoom } from '../../support/platform-accounts.js'
import { refusal } from '../../support/refusal.js'
import { onboard } from '../../support/rpc.js'

const room = theRoom()
const suspend = (platformServiceAccountId: string, more: object = {}) =>
  room().accounts.suspendPlatformServiceAccount({ platformServiceAccountId, ...more })

describeChange(room, {
  rpc: 'suspendPlatformServiceAccount',
  request: async (it) => ({ platformServiceAccountId: (await it.account()).id, reason: 'lost laptop' }),
  action: 'platform-service-account.suspend',
  target: 'serviceAccounts',
  unknown: { platformServiceAccountId: nobody },
  bad: { reason: 'r'.repeat(501), etag: 'e'.repeat(65) },
})

it('OK: SUSPENDED, the next etag; a suspended one stays as it is, whatever the etag, and nothing is written', async () => {
  const made = await room().account()
  const suspended = await suspend(made.id, { etag: made.etag })
  expect(suspended).toEqual({
    ...made,
    state: PlatformServiceAccountState.PLATFORM_SERVICE_ACCOUNT_STATE_SUSPENDED,
    etag: '2',
    updateTime: suspended.suspendTime,
    suspendTime: expect.any(Date),
  })
  expect(await room().writingNothing(() => suspend(made.id, { etag: 'stale', reason: 'again' }))).toEqual(suspended)
})

it('ABORTED ETAG_STALE; FAILED_PRECONDITION of a deleted one, writing nothing', async () => {
  const { id } = await room().account()
  expect(await room().writingNothing(() => refusal(suspend(id, { etag: '7' })))).toMatchObject({ code: 'ABORTED', reason: 'ETAG_STALE' })
  await room().accounts.deletePlatformServiceAccount({ platformServiceAccountId: id })
  expect(await room().writingNothing(() => refusal(suspend(id)))).toMatchObject({
    code: 'FAILED_PRECONDITION',
    reason: 'PLATFORM_SERVICE_ACCOUNT_DELETED',
  })
})

it('its keys are refused at once by mutations and reads of data, and soon by what needs no data', async () => {
  const { account, clients } = await room().caller(['platform-manage-tenants', 'platform-view-tenants'])
  const { id: tenantId } = await onboard(clients)
  await clients.platform.getServerInfo({})
  await suspend(account.id)
  const invalid = { code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_INVALID' }
  expect(await refusal(clients.tenants.updateTenant({ tenantId, displayName: 'x' }))).toMatchObject(invalid)
  expect(await refusal(clients.tenants.getTenant({ tenantId }))).toMatchObject(invalid)
  await expect.poll(() => refusal(clients.platform.getServerInfo({})).catch(() => undefined), { timeout: 10_000 }).toMatchObject(invalid)
})

it('C-015 C-012 of two managers who suspend each other at once one stays, N of N', async () => {
  const first = await room().solo.clients.platform.getServerInfo({})
  let left = await room().caller([managing])
  await left.accounts.listPlatformServiceAccounts({})
  // from here on nobody else manages
  const { platformServiceAccounts } = await room().accounts.listPlatformServiceAccounts({ pageSize: 500 })
  for (const { id } of platformServiceAccounts) if (id !== left.account.id && id !== first.principal) await suspend(id)
  await suspend(first.principal)
  for (let round = 0; round < 3; round++) {
    const made = await left.accounts.createPlatformServiceAccount({ displayName: 'Other', permissions: [managing] })
    const key = await left.accounts.createPlatformApiKey({ platformServiceAccountId: made.id, displayName: 'k', scopes: [managing] })
    const clients = room().connect(key.secret)
    const right: Caller = { account: made, key, clients, accounts: clients.platformAccounts }
    await right.accounts.listPlatformServiceAccounts({})
    const [winner, loser] = round % 2 ? [right, left] : [left, right]
    expect(
      await room().atOnce(
        () => winner.accounts.suspendPlatformServiceAccount({ platformServiceAccountId: loser.account.id }),
        () => loser.accounts.suspendPlatformServiceAccount({ platformServiceAccountId: winner.account.id }),
      ),
    ).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { code: 'UNAUTHENTICATED' } }])
    left = winner
    const page = await left.accounts.listPlatformServiceAccounts({
      state: PlatformServiceAccountState.PLATFORM_SERVICE_ACCOUNT_STATE_ACTIVE,
    })
    expect(page.platformServiceAccounts.map(({ id }) => id)).toEqual([left.account.id])
  }
  expect(await refusal(left.accounts.suspendPlatformServiceAccount({ platformServiceAccountId: left.account.id }))).toMatchObject({
    code: 'FAILED_PRECONDITION',
    reason: 'LAST_PLATFORM_MANAGER',
  })

  // whose key ends within a week does not count beside one that lasts: of the two that do, one stays, whoever is asked to go first
  const lasting = async (days: number) => {
    const { id } = await left.accounts.createPlatformServiceAccount({ displayName: 'M', permissions: [managing] })
    const expireTime = new Date(Date.now() + days * dayMs)
    const key = await left.accounts.createPlatformApiKey({ platformServiceAccountId: id, displayName: 'k', scopes: [managing], expireTime })
    return { id, accounts: room().connect(key.secret).platformAccounts }
  }
  const [short, long] = [await lasting(3), await lasting(30)]
  const ways = [long.id, left.account.id].map((id) => () => short.accounts.suspendPlatformServiceAccount({ platformServiceAccountId: id }))
  const gone = await room().atOnce(...ways)
  expect(gone).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { reason: 'LAST_PLATFORM_MANAGER' } }])
})
