import { expect, it, onTestFinished } from 'vitest'
import { createClient } from '../../../clients/typescript/src/index.js'
import { startSolo } from '../../support/solo.js'
import { failed } from './set-up.js'

it('a key for a tool: an account, its key, which works, its list, its end', async () => {
  const solo = await startSolo()
  const client = createClient({ address: solo.address, apiKey: solo.key })
  onTestFinished(async () => {
    client.close()
    await solo.stop()
  })
  const { platformAccounts } = client
  const permissions = ['platform-view-tenants']
  const account = await platformAccounts.createPlatformServiceAccount({ displayName: 'Night job', permissions })
  const platformServiceAccountId = account.id
  const { secret, ...key } = await platformAccounts.createPlatformApiKey({
    platformServiceAccountId,
    displayName: 'k',
    scopes: permissions,
  })
  const tool = createClient({ address: solo.address, apiKey: secret })
  onTestFinished(() => tool.close())
  for await (const tenant of tool.tenants.listTenants({})) expect.fail(tenant.id)
  const listed = []
  for await (const each of platformAccounts.listPlatformApiKeys({ platformServiceAccountId })) listed.push(each)
  expect(listed).toEqual([{ ...key, secret: '' }])
  const states = []
  for await (const { state } of platformAccounts.listPlatformServiceAccounts({ pageSize: 1 })) states.push(state)
  expect(states).toEqual(['PLATFORM_SERVICE_ACCOUNT_STATE_ACTIVE', 'PLATFORM_SERVICE_ACCOUNT_STATE_ACTIVE'])
  await platformAccounts.deletePlatformServiceAccount({ platformServiceAccountId })
  const refused = await failed(tool.tenants.listTenants({}).pages()[Symbol.asyncIterator]().next())
  expect(refused).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_INVALID' })
})
