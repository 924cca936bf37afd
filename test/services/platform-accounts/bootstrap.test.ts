import { expect, it } from 'vitest'
import { parseSecret } from '../../../server/keys/secret.js'
import { ensureFirstKey } from '../../../server/services/platform-accounts/bootstrap.command.js'
import { makePlatformKey } from '../../../server/services/platform-accounts/first-key.rules.js'
import { createLog } from '../../../server/telemetry/log.js'
import { thePool, theServer, theSuperuser } from '../../support/rpc.js'

const firstKeys = async () => {
  const keys = await theSuperuser().query('select * from platform.platform_api_keys where bootstrap')
  const entries = await theSuperuser().query('select entry from platform.platform_audit')
  return { keys: keys.rows, made: entries.rows.filter(({ entry }) => JSON.parse(entry).action === 'platform-api-key.bootstrap').length }
}
const warnings = () => {
  const lines: string[] = []
  return { log: createLog('info', { write: (line: string) => void lines.push(line) }), lines }
}

it('the first key is made once ever, and stands once in the trail, however often the service starts', async () => {
  const { key } = theServer()
  const before = await firstKeys()
  expect(before.made).toBe(1)
  expect(before.keys).toMatchObject([{ id: `pky_${parseSecret(key)!.rowSuffix}`, scopes: ['*'], expire_time: null }])
  const { log, lines } = warnings()
  await Promise.all([ensureFirstKey(thePool(), key, log), ensureFirstKey(thePool(), key, log)])
  expect(await firstKeys()).toEqual(before)
  expect(lines).toEqual([])
})

it('another configured key is ignored, with a warning', async () => {
  const before = await firstKeys()
  const { log, lines } = warnings()
  await ensureFirstKey(thePool(), makePlatformKey(), log)
  await ensureFirstKey(thePool(), `ck_${'x'.repeat(40)}`, log)
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(Array(2).fill(expect.stringContaining('another first key')))
  expect(await firstKeys()).toEqual(before)
})
