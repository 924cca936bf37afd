import { readFileSync } from 'node:fs'
import { afterAll, expect, it } from 'vitest'
import { services } from '../../../server/contract/descriptors.js'
import { connect } from '../../support/client.js'
import { makeKey } from '../../support/keys.js'
import { refusal } from '../../support/refusal.js'
import { theClients, thePool, theServer, theSuperuser } from '../../support/rpc.js'

const clients = theClients()
afterAll(() => clients.close())

it('OK: what the server is and offers', async () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  const info = await clients.platform.getServerInfo({})
  expect(info).toMatchObject({ name: 'customer-management', version, plans: ['standard', 'enterprise'], regions: ['default', 'eu'] })
  expect(info.services).toEqual(
    services()
      .map((it) => it.typeName)
      .sort(),
  )
  const newest = await theSuperuser().query('select max(version) as version from platform.schema_versions')
  expect(info.schemaVersion).toBe(newest.rows[0].version)
  expect(info.startTime!.getTime()).toBeLessThanOrEqual(Date.now())
})

it('OK: to any caller, who learns its own id', async () => {
  const key = await makeKey(thePool(), ['view-analytics'])
  const its = connect(theServer().address, key.key)
  expect((await its.platform.getServerInfo({})).principal).toBe(key.accountId)
  its.close()
})

it('UNAUTHENTICATED: within a second or so of its key’s revocation', async () => {
  const key = await makeKey(thePool(), ['view-analytics'])
  const its = connect(theServer().address, key.key)
  await its.platform.getServerInfo({})
  await key.revoke()
  await expect
    .poll(() => refusal(its.platform.getServerInfo({})).catch(() => undefined), { timeout: 10_000 })
    .toMatchObject({
      code: 'UNAUTHENTICATED',
      reason: 'CREDENTIAL_INVALID',
    })
  its.close()
})
