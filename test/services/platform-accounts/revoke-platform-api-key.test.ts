import { expect, it } from 'vitest'
import { PlatformApiKeyState } from '../../../gen/customer/platform/v1/platform_account.js'
import { knownPermissions } from '../../../server/services/platform-accounts/platform-accounts.rules.js'
import { dayMs, describeChange, managing, nobody, theRoom } from '../../support/platform-accounts.js'
import { refusal } from '../../support/refusal.js'
import { onboard } from '../../support/rpc.js'
import { until } from '../../support/until.js'

const room = theRoom()
const revoke = (platformApiKeyId: string) => room().accounts.revokePlatformApiKey({ platformApiKeyId })

describeChange(room, {
  rpc: 'revokePlatformApiKey',
  request: async (it) => ({ platformApiKeyId: (await it.key(await it.account())).id }),
  action: 'platform-api-key.revoke',
  target: 'apiKeys',
  unknown: { platformApiKeyId: nobody.replace('psa', 'pky') },
  bad: {},
})

it('OK: REVOKED for good; a revoked one stays as it is, and nothing is written; other keys of the account stay', async () => {
  const { account, key } = await room().caller(['platform-view-tenants'])
  const other = await room().key(account)
  const revoked = await revoke(key.id)
  expect(revoked).toEqual({
    ...key,
    secret: '',
    state: PlatformApiKeyState.PLATFORM_API_KEY_STATE_REVOKED,
    revokeTime: expect.any(Date),
  })
  expect(await room().writingNothing(() => revoke(key.id))).toEqual(revoked)
  await room().connect(other.secret).tenants.listTenants({})
})

it('refused at once by mutations and reads of data, soon by what needs no data, and its streams end', async () => {
  const { key, clients } = await room().caller(['platform-manage-tenants', 'platform-view-tenants', 'platform-view-events'])
  const { id: tenantId } = await onboard(clients)
  await clients.platform.getServerInfo({})
  const stream = clients.events.watchEvents({ tenantId, afterSequence: '', eventType: '' }, clients.metadata())
  let ended: unknown
  let heard = 0
  stream.on('data', () => heard++)
  stream.on('error', (err) => {
    ended = err
  })
  await until(() => heard > 0, { timeoutMs: 10_000 })
  await revoke(key.id)
  const invalid = { code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_INVALID' }
  expect(await refusal(clients.tenants.updateTenant({ tenantId, displayName: 'x' }))).toMatchObject(invalid)
  expect(await refusal(clients.tenants.getTenant({ tenantId }))).toMatchObject(invalid)
  expect(await until(() => ended, { timeoutMs: 10_000 })).toMatchObject({ code: 16 })
  await expect.poll(() => refusal(clients.platform.getServerInfo({})).catch(() => undefined), { timeout: 10_000 }).toMatchObject(invalid)
})

it('C-012 C-015 LAST_PLATFORM_MANAGER: the first key goes when another lasts; of two managers who revoke each other’s keys at once one stays', async () => {
  const first = await room().solo.clients.platform.getServerInfo({})
  const { platformApiKeys: firsts } = await room().accounts.listPlatformApiKeys({ platformServiceAccountId: first.principal })
  const { platformServiceAccounts } = await room().accounts.listPlatformServiceAccounts({ pageSize: 500 })
  for (const { id } of platformServiceAccounts) {
    if (id !== first.principal) await room().accounts.deletePlatformServiceAccount({ platformServiceAccountId: id })
  }
  const last = { code: 'FAILED_PRECONDITION', reason: 'LAST_PLATFORM_MANAGER' }
  expect(await room().writingNothing(() => refusal(revoke(firsts[0]!.id)))).toMatchObject(last)
  // beside the first key, which never ends, keys that end within a week are not enough
  const soon = await room().caller([managing], undefined, new Date(Date.now() + 6 * dayMs))
  expect(await refusal(revoke(firsts[0]!.id))).toMatchObject(last)
  let left = await room().caller([managing])
  // whoever holds all that there is by name, as recover-platform-key makes them, ends the first key; who holds less does not
  const platformApiKeyId = firsts[0]!.id
  expect(await refusal(left.accounts.revokePlatformApiKey({ platformApiKeyId }))).toMatchObject({ reason: 'TARGET_OUTRANKS_CALLER' })
  const full = await room().caller(knownPermissions())
  const revoked = await full.accounts.revokePlatformApiKey({ platformApiKeyId })
  expect(revoked.state).toBe(PlatformApiKeyState.PLATFORM_API_KEY_STATE_REVOKED)
  await full.accounts.deletePlatformServiceAccount({ platformServiceAccountId: full.account.id })
  expect(await refusal(revoke(soon.key.id))).toMatchObject({ code: 'UNAUTHENTICATED' })
  await left.accounts.revokePlatformApiKey({ platformApiKeyId: soon.key.id })

  for (let round = 0; round < 3; round++) {
    const key = await left.accounts.createPlatformApiKey({
      platformServiceAccountId: left.account.id,
      displayName: 'k',
      scopes: [managing],
    })
    const clients = room().connect(key.secret)
    const right = { account: left.account, key, clients, accounts: clients.platformAccounts }
    await right.accounts.listPlatformApiKeys({})
    const [winner, loser] = round % 2 ? [right, left] : [left, right]
    expect(
      await room().atOnce(
        () => winner.accounts.revokePlatformApiKey({ platformApiKeyId: loser.key.id }),
        () => loser.accounts.revokePlatformApiKey({ platformApiKeyId: winner.key.id }),
      ),
    ).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { code: 'UNAUTHENTICATED' } }])
    left = winner
    const { platformApiKeys } = await left.accounts.listPlatformApiKeys({ state: PlatformApiKeyState.PLATFORM_API_KEY_STATE_ACTIVE })
    expect(platformApiKeys.map(({ id }) => id)).toEqual([left.key.id])
  }
  expect(await refusal(left.accounts.revokePlatformApiKey({ platformApiKeyId: left.key.id }))).toMatchObject(last)
})
