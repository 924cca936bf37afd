import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPool } from '../../server/db/pool.js'
import { makeRingKey } from '../../server/keys/ring.js'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import { connect } from '../support/client.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { makeKey } from '../support/keys.js'
import { gone, standingOf } from '../support/purged.js'
import { onboard } from '../support/rpc.js'
import { databaseEnv, type ServerProcess, startServerProcess } from '../support/server-process.js'
import { theCluster } from '../support/solo.js'
import { until } from '../support/until.js'

const generous = { timeoutMs: 30_000 }
const env = { TENANT_PURGE_WAIT_HOURS: '0' }

describe('a crash between the two transactions', () => {
  let database: TestDatabase
  let eye: pg.Pool
  const running: ServerProcess[] = []
  const keys = { KEY_ENCRYPTION_KEYS: makeRingKey(), BOOTSTRAP_API_KEY: makePlatformKey() }
  beforeAll(async () => {
    database = await createDatabase(theCluster())
    eye = openPool({ url: database.superuserUrl, max: 3 })
  })
  afterAll(async () => {
    await Promise.all(running.map((it) => it.stop()))
    await eye?.end()
    await database?.drop()
  })
  const start = async () => {
    const { MIGRATOR_DATABASE_URL: _, ...urls } = databaseEnv(database.urls)
    const server = await startServerProcess({ ...urls, ...env, ...keys })
    running.push(server)
    return { server, clients: connect(server.address, keys.BOOTSTRAP_API_KEY) }
  }
  /** A purge whose process is killed while the second transaction waits for the platform's counter. */
  async function cutPurge() {
    const { server, clients } = await start()
    const { id: tenantId } = await onboard(clients)
    const tenant = await clients.tenants.deleteTenant({ tenantId })
    const caller = await makeKey(eye, ['platform-purge-tenants'])
    const calling = connect(server.address, caller.key)
    const request = { tenantId, confirmSlug: tenant.slug, requestId: randomUUID() }
    const holder = await eye.connect()
    await holder.query(`begin; select from platform.tenant_counters where tenant_id = 'platform' for update`)
    try {
      const call = calling.tenants.purgeTenant(request).catch((err: unknown) => err)
      const waiting = `select from pg_stat_activity where datname = current_database() and usename = 'app' and wait_event_type = 'Lock'`
      await until(async () => (await eye.query(waiting)).rowCount, generous)
      server.process.kill('SIGKILL')
      await server.exited
      // all up to COMMIT has been sent: the lock is held until the dead client's backend has given up
      const atWork = `select from pg_stat_activity where datname = current_database() and usename = 'app'`
      await until(async () => (await eye.query(atWork)).rowCount === 0, generous)
      expect(await call).toMatchObject({ code: 'UNAVAILABLE' })
    } finally {
      await holder.query('rollback')
      holder.release()
      for (const it of [clients, calling]) it.close()
    }
    return { tenant, caller, request }
  }
  const half = { ...gone, records: 0, roles: 1, entries: 0, finished: 0 }

  it('F-01 the tenant is gone already; the job of the next process drops the role and writes the entry, which names who called', async () => {
    const { tenant, caller } = await cutPurge()
    expect(await standingOf(eye, tenant.id)).toEqual(half)
    const { server, clients } = await start()
    await expect(clients.tenants.getTenant({ tenantId: tenant.id })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(onboard(clients, { slug: tenant.slug })).rejects.toMatchObject({ reason: 'SLUG_RETIRED' })
    await until(async () => (await standingOf(eye, tenant.id))['finished'], generous)
    expect(await standingOf(eye, tenant.id)).toEqual(gone)
    const { rows } = await eye.query('select entry from platform.platform_audit where entry like $1', [`%${tenant.id}%`])
    expect(JSON.parse(rows[0].entry)).toMatchObject({ actor: { type: 'platform-service-account', id: caller.accountId } })
    clients.close()
    await server.stop()
  })

  it('F-01 the repeated call is answered, and has finished it when it is', async () => {
    const { tenant, caller, request } = await cutPurge()
    expect(await standingOf(eye, tenant.id)).toEqual(half)
    const { server, clients } = await start()
    const calling = connect(server.address, caller.key)
    const { purgeTime } = await calling.tenants.purgeTenant(request)
    expect(purgeTime!.getTime()).toBeGreaterThan(tenant.deleteTime!.getTime())
    expect(await standingOf(eye, tenant.id)).toEqual(gone)
    for (const it of [clients, calling]) it.close()
    await server.stop()
  })
})
