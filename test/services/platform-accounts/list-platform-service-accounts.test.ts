import { expect, it } from 'vitest'
import { type PlatformServiceAccount, PlatformServiceAccountState } from '../../../gen/customer/platform/v1/platform_account.js'
import type { ListPlatformServiceAccountsRequest } from '../../../gen/customer/platform/v1/platform_account_service.js'
import { managing, theRoom } from '../../support/platform-accounts.js'
import { refusal } from '../../support/refusal.js'

const room = theRoom()
const { PLATFORM_SERVICE_ACCOUNT_STATE_ACTIVE, PLATFORM_SERVICE_ACCOUNT_STATE_SUSPENDED, PLATFORM_SERVICE_ACCOUNT_STATE_DELETED } =
  PlatformServiceAccountState
type Asked = Partial<ListPlatformServiceAccountsRequest>
const page = (asked: Asked) => room().accounts.listPlatformServiceAccounts(asked)
async function pages(asked: Asked, between: () => Promise<unknown> = async () => {}): Promise<PlatformServiceAccount[]> {
  const found: PlatformServiceAccount[] = []
  for (let pageToken = ''; ; ) {
    const { platformServiceAccounts, nextPageToken } = await page({ ...asked, pageToken })
    found.push(...platformServiceAccounts)
    if (nextPageToken === '') return found
    pageToken = nextPageToken
    await between()
  }
}
const ids = (found: readonly { id: string }[]) => found.map(({ id }) => id)

it('the empty list, every filter, whole and in pages of any size, the newest first', async () => {
  const first = (await page({})).platformServiceAccounts
  expect(first).toMatchObject([{ displayName: 'bootstrap', permissions: ['*'] }])
  expect(await page({ state: PLATFORM_SERVICE_ACCOUNT_STATE_SUSPENDED })).toEqual({ platformServiceAccounts: [], nextPageToken: '' })
  const one = await room().account()
  const two = await room().accounts.suspendPlatformServiceAccount({ platformServiceAccountId: (await room().account()).id })
  const gone = await room().account()
  await room().accounts.suspendPlatformServiceAccount({ platformServiceAccountId: gone.id })
  const three = await room().accounts.deletePlatformServiceAccount({ platformServiceAccountId: gone.id })
  const cases: [Asked, PlatformServiceAccount[]][] = [
    [{}, [two, one, ...first]],
    [{ showDeleted: true }, [three, two, one, ...first]],
    [{ state: PLATFORM_SERVICE_ACCOUNT_STATE_ACTIVE }, [one, ...first]],
    [{ state: PLATFORM_SERVICE_ACCOUNT_STATE_ACTIVE, showDeleted: true }, [one, ...first]],
    [{ state: PLATFORM_SERVICE_ACCOUNT_STATE_SUSPENDED }, [two]],
    [{ state: PLATFORM_SERVICE_ACCOUNT_STATE_SUSPENDED, showDeleted: true }, [two]],
    [{ state: PLATFORM_SERVICE_ACCOUNT_STATE_DELETED }, []],
    [{ state: PLATFORM_SERVICE_ACCOUNT_STATE_DELETED, showDeleted: true }, [three]],
  ]
  for (const [asked, expected] of cases) {
    expect(await pages(asked)).toEqual(expected)
    for (const pageSize of [1, 2, 3, 501]) expect(await pages({ ...asked, pageSize })).toEqual(expected)
  }
})

it('complete and exactly once for those that are there throughout, while others come and change', async () => {
  const before = await pages({})
  const found = await pages({ pageSize: 1 }, async () => {
    await room().account()
    await room().accounts.updatePlatformServiceAccount({ platformServiceAccountId: before[0]!.id, displayName: `${Math.random()}` })
  })
  expect(ids(found)).toEqual(ids(before))
})

it('C-014 PAGE_TOKEN_INVALID: of another filter, caller or RPC, or changed; INVALID_ARGUMENT: a page_size below 0', async () => {
  await room().account()
  const { nextPageToken: pageToken } = await page({ pageSize: 1 })
  const invalid = { code: 'INVALID_ARGUMENT', reason: 'PAGE_TOKEN_INVALID' }
  const { accounts } = await room().caller([managing])
  expect(await refusal(page({ showDeleted: true, pageToken }))).toMatchObject(invalid)
  expect(await refusal(page({ state: PLATFORM_SERVICE_ACCOUNT_STATE_ACTIVE, pageToken }))).toMatchObject(invalid)
  expect(await refusal(accounts.listPlatformServiceAccounts({ pageToken }))).toMatchObject(invalid)
  expect(await refusal(accounts.listPlatformApiKeys({ pageToken }))).toMatchObject(invalid)
  expect(await refusal(page({ pageToken: `${pageToken}A` }))).toMatchObject(invalid)
  expect((await page({ pageToken, pageSize: 500 })).platformServiceAccounts.length).toBeGreaterThan(1)
  expect((await refusal(page({ pageSize: -1 }))).violations).toMatchObject([{ field: 'page_size' }])
})
