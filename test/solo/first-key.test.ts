import { afterEach, describe, expect, it } from 'vitest'
import { openPool } from '../../server/db/pool.js'
import { makeRingKey } from '../../server/keys/ring.js'
import { parseSecret } from '../../server/keys/secret.js'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import { revokePlatformKey } from '../../server/services/platform-accounts/platform-accounts.repo.js'
import { connect, type RpcError } from '../support/client.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { databaseEnv } from '../support/server-process.js'
import { theCluster } from '../support/solo.js'
import { begin, endAll, type Starting, serverProgram } from '../support/starting.js'
import { makeFolder, removeFolder } from '../support/temp-folder.js'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  await endAll()
  for (const clean of cleanups.splice(0)) await clean()
})

async function newDatabase(): Promise<TestDatabase> {
  const database = await createDatabase(theCluster())
  cleanups.push(() => database.drop())
  return database
}

/** An external database, and a DATA_DIR of its own. */
async function start(database: TestDatabase, env: Readonly<Record<string, string>> = {}): Promise<Starting> {
  const dataDir = await makeFolder('first-key')
  cleanups.push(() => removeFolder(dataDir))
  const { MIGRATOR_DATABASE_URL: _, ...urls } = databaseEnv(database.urls)
  return begin({ ...urls, DATA_DIR: dataDir, HOST: '127.0.0.1', KEY_ENCRYPTION_KEYS: makeRingKey(), ...env }).ready()
}

/** What a call with this key comes to. */
async function callWith(server: Starting, key: string | undefined): Promise<string> {
  const clients = connect(server.address(), key)
  try {
    return await clients.tenants.listTenants({}).then(
      () => 'OK',
      (err: RpcError) => err.code,
    )
  } finally {
    clients.close()
  }
}

async function ask<T>(database: TestDatabase, text: string): Promise<T[]> {
  const pool = openPool({ url: database.superuserUrl, max: 1 })
  try {
    return (await pool.query(text)).rows as T[]
  } finally {
    await pool.end()
  }
}

async function revoke(database: TestDatabase, key: string): Promise<void> {
  const pool = openPool({ url: database.urls.app, max: 1 })
  await revokePlatformKey(pool, `pky_${parseSecret(key)?.rowSuffix}`)
  await pool.end()
}

async function recover(env: Readonly<Record<string, string>>): Promise<string> {
  const recovering = begin(env, { program: [...serverProgram, 'recover-platform-key'] })
  expect([await recovering.exited, recovering.output()]).toEqual([
    0,
    expect.stringMatching(/^ck_p_[0-9a-z]{26}_[0-9a-z]{52}_[0-9a-z]{7}\n$/),
  ])
  return recovering.output().trim()
}

describe('the first platform key', () => {
  it('of several first starts at once on one database one makes it; the others print none, and theirs is worth nothing', async () => {
    const database = await newDatabase()
    const servers = await Promise.all(Array.from({ length: 4 }, () => start(database)))
    const rows = await ask(
      database,
      `select scopes, expire_time, (select count(*)::integer from platform.platform_audit) as audited
      from platform.platform_api_keys where bootstrap`,
    )
    expect(rows).toEqual([{ scopes: ['*'], expire_time: null, audited: 1 }])
    const printing = servers.filter((each) => each.key() !== undefined)
    expect(printing).toHaveLength(1)
    for (const each of servers) expect(await callWith(each, printing[0]?.key())).toBe('OK')
    for (const each of servers) if (each !== printing[0]) expect(each.output()).toContain('another first key was made before')
  })

  it('C-042 another BOOTSTRAP_API_KEY is ignored with a warning, a revoked first key is not revived, and recover-platform-key makes one that works', async () => {
    const database = await newDatabase()
    const [first, other] = [makePlatformKey(), makePlatformKey()]
    const one = await start(database, { BOOTSTRAP_API_KEY: first })
    expect(one.key()).toBe(first)
    const two = await start(database, { BOOTSTRAP_API_KEY: other })
    expect(two.output()).toContain('another first key was made before: the one of BOOTSTRAP_API_KEY or DATA_DIR counts for nothing')
    expect(two.output()).not.toContain('CUSTOMER_API_KEY=')
    expect([await callWith(two, first), await callWith(two, other)]).toEqual(['OK', 'UNAUTHENTICATED'])
    await Promise.all([one, two].map((each) => each.kill('SIGTERM')))

    await revoke(database, first)
    const three = await start(database, { BOOTSTRAP_API_KEY: first })
    expect(three.output()).toContain('the first key was revoked, and stays so')
    expect(three.output()).not.toContain('CUSTOMER_API_KEY=')
    const four = await start(database, { BOOTSTRAP_API_KEY: other })
    for (const key of [first, other])
      expect([await callWith(three, key), await callWith(four, key)]).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED'])

    const revision = async () => {
      const text = `select access_revision::integer as at from platform.tenant_counters where tenant_id = 'platform'`
      return (await ask<{ at: number }>(database, text))[0]?.at ?? Number.NaN
    }
    const before = await revision()
    const key = await recover({ DATABASE_URL: database.urls.app })
    expect(await revision()).toBe(before + 1)
    expect([await callWith(three, key), await callWith(four, key)]).toEqual(['OK', 'OK'])
    const clients = connect(three.address(), key)
    const { slug } = await clients.tenants.createTenant({
      slug: 'recovered',
      displayName: 'R',
      ownerEmail: 'r@acme.example',
      requestId: crypto.randomUUID(),
    })
    clients.close()
    expect(slug).toBe('recovered')
    const entries = await ask<{ entry: string }>(database, 'select entry from platform.platform_audit order by audit_seq')
    expect(entries.map(({ entry }) => JSON.parse(entry))).toEqual([
      expect.objectContaining({ action: 'platform-api-key.bootstrap', actor: { type: 'system', id: 'start', key_id: '' } }),
      expect.objectContaining({ action: 'platform-api-key.recover', target: `platform/apiKeys/pky_${parseSecret(key)?.rowSuffix}` }),
    ])
    const kept = await ask<{ secret: boolean; days: number; scopes: string[] }>(
      database,
      `select position('${key}' in entry) > 0 as secret, extract(day from expire_time - k.create_time)::integer as days, scopes
      from platform.platform_api_keys k, platform.platform_audit where not bootstrap and audit_seq = 2`,
    )
    expect(kept).toEqual([
      { secret: false, days: 90, scopes: expect.arrayContaining(['platform-manage-tenants', 'platform-manage-accounts']) },
    ])
    expect(kept[0]?.scopes).not.toContain('*')
  })

  it('recover-platform-key works on the database below DATA_DIR too, while the server runs and while it does not', async () => {
    const dataDir = await makeFolder('recover')
    cleanups.push(() => removeFolder(dataDir))
    const nothing = begin({ DATA_DIR: `${dataDir}/none` }, { program: [...serverProgram, 'recover-platform-key'] })
    expect([await nothing.exited, nothing.output()]).toEqual([1, expect.stringContaining('there is no database in DATA_DIR')])
    const server = await begin({ DATA_DIR: dataDir }).ready()
    const keys = [await recover({ DATA_DIR: dataDir })]
    expect(await callWith(server, keys[0])).toBe('OK')
    expect(await server.kill('SIGTERM')).toBe(0)
    keys.push(await recover({ DATA_DIR: dataDir }))
    const again = await begin({ DATA_DIR: dataDir }).ready()
    for (const key of [...keys, again.key()]) expect(await callWith(again, key)).toBe('OK')
  })
})
