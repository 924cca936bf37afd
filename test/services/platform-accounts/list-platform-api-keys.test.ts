import { expect, it } from 'vitest'
import { type PlatformApiKey, PlatformApiKeyState } from '../../../gen/customer/platform/v1/platform_account.js'
import type { ListPlatformApiKeysRequest } from '../../../gen/customer/platform/v1/platform_account_service.js'
import { dayMs, managing, nobody, theRoom } from '../../support/platform-accounts.js'
import { refusal } from '../../support/refusal.js'

const room = theRoom()
const { PLATFORM_API_KEY_STATE_ACTIVE, PLATFORM_API_KEY_STATE_EXPIRED, PLATFORM_API_KEY_STATE_REVOKED } = PlatformApiKeyState
type Asked = Partial<ListPlatformApiKeysRequest>
const page = (asked: Asked) => room().accounts.listPlatformApiKeys(asked)
async function pages(asked: Asked): Promise<PlatformApiKey[]> {
  const found: PlatformApiKey[] = []
  for (let pageToken = ''; ; ) {
    const { platformApiKeys, nextPageToken } = await page({ ...asked, pageToken })
    found.push(...platformApiKeys)
    if (nextPageToken === '') return found
    pageToken = nextPageToken
  }
}
const bare = (key: PlatformApiKey): PlatformApiKey => ({ ...key, secret: '' })

it('the empty list, every filter, whole and in pages of any size, the newest first, never with a secret', async () => {
  const [first] = (await page({})).platformApiKeys
  expect(first).toMatchObject({ displayName: 'bootstrap', scopes: ['*'], expireTime: undefined, secret: '' })
  const account = await room().account()
  const of = { platformServiceAccountId: account.id }
  expect(await page(of)).toEqual({ platformApiKeys: [], nextPageToken: '' })
  expect(await page({ platformServiceAccountId: nobody })).toEqual({ platformApiKeys: [], nextPageToken: '' })
  const long = bare(await room().key(account, undefined, new Date(Date.now() + 200 * dayMs)))
  const short = { ...bare(await room().key(account, undefined, new Date(Date.now() + 2 * dayMs))), state: PLATFORM_API_KEY_STATE_EXPIRED }
  const { id: platformApiKeyId } = await room().key(account)
  const revoked = await room().accounts.revokePlatformApiKey({ platformApiKeyId })
  const other = bare(await room().key(await room().account()))
  const cases: [Asked, PlatformApiKey[]][] = [
    [of, [short, long]],
    [{}, [other, short, long, first!]],
    [{ ...of, showDeleted: true }, [revoked, short, long]],
    [{ ...of, state: PLATFORM_API_KEY_STATE_ACTIVE }, [long]],
    [{ ...of, state: PLATFORM_API_KEY_STATE_ACTIVE, showDeleted: true }, [long]],
    [{ state: PLATFORM_API_KEY_STATE_ACTIVE }, [other, long, first!]],
    [{ ...of, state: PLATFORM_API_KEY_STATE_EXPIRED, showDeleted: true }, [short]],
    [{ ...of, state: PLATFORM_API_KEY_STATE_REVOKED }, []],
    [{ ...of, state: PLATFORM_API_KEY_STATE_REVOKED, showDeleted: true }, [revoked]],
  ]
  try {
    room().shiftMs = 3 * dayMs
    for (const [asked, expected] of cases) {
      expect(await pages(asked)).toEqual(expected)
      for (const pageSize of [1, 2, 501]) expect(await pages({ ...asked, pageSize })).toEqual(expected)
    }
  } finally {
    room().shiftMs = 0
  }
})

it('C-014 PAGE_TOKEN_INVALID: of another filter, account or caller, or changed; INVALID_ARGUMENT: what breaks a rule', async () => {
  const { account, accounts } = await room().caller([managing])
  await room().key(account)
  const { nextPageToken: pageToken } = await page({ pageSize: 1 })
  const invalid = { code: 'INVALID_ARGUMENT', reason: 'PAGE_TOKEN_INVALID' }
  for (const change of [{ showDeleted: true }, { state: PLATFORM_API_KEY_STATE_ACTIVE }, { platformServiceAccountId: account.id }]) {
    expect(await refusal(page({ ...change, pageToken }))).toMatchObject(invalid)
  }
  expect(await refusal(accounts.listPlatformApiKeys({ pageToken }))).toMatchObject(invalid)
  expect(await refusal(page({ pageToken: pageToken.slice(1) }))).toMatchObject(invalid)
  const refused = await refusal(page({ platformServiceAccountId: 'psa_X', pageSize: -1 }))
  expect(refused.violations.map(({ field }) => field)).toEqual(['platform_service_account_id', 'page_size'])
})
