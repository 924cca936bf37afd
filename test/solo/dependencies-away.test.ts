import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PlatformServiceClient } from '../../gen/customer/platform/v1/platform_service.js'
import { GetTenantRequest, TenantServiceClient, UpdateTenantRequest } from '../../gen/customer/tenant/v1/tenant_service.js'
import { openPool } from '../../server/db/pool.js'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import { RpcError } from '../support/client.js'
import { createDatabase, prepareCluster, type TestDatabase } from '../support/databases.js'
import { faultRun } from '../support/fault-run.js'
import { makeKey } from '../support/keys.js'
import { type PostgresCluster, startPostgresCluster } from '../support/postgres.js'
import { type RedisServer, startRedis } from '../support/redis.js'
import { ServiceMissing } from '../support/service-process.js'
import { type Solo, startSolo } from '../support/solo.js'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'

const full = process.env['N'] === 'full'
/** For a machine that has much to do. */
const slackMs = 8_000

let cluster: PostgresCluster
let database: TestDatabase
let superuser: pg.Pool
let proxy: TcpProxy
const solos: Solo[] = []
const firstKey = makePlatformKey()
const begin = async (env: Record<string, string> = {}) => {
  const solo = await startSolo({ database, env: { BOOTSTRAP_API_KEY: firstKey, ...env } })
  solos.push(solo)
  return solo
}

beforeAll(async () => {
  cluster = await startPostgresCluster()
  const direct = await createDatabase(await prepareCluster(cluster.superuserUrl))
  proxy = await startTcpProxy({ port: cluster.port })
  const throughProxy = Object.entries(direct.urls).map(([name, url]) => [name, Object.assign(new URL(url), { port: proxy.port }).href])
  database = { ...direct, urls: Object.fromEntries(throughProxy) }
  superuser = openPool({ url: direct.superuserUrl, max: 4 })
})
afterAll(async () => {
  for (const solo of solos) await solo.stop()
  await superuser?.end()
  await proxy?.stop()
  await cluster?.stop()
})

const creation = () => ({
  slug: `away-${randomUUID().slice(0, 13)}`,
  displayName: 'Away',
  ownerEmail: 'owner@acme.example',
  requestId: randomUUID(),
})
const newTenant = (solo: Solo) => solo.clients.tenants.createTenant(creation())

/** Calls with a deadline of one's own. */
function caller({ address, key: own }: Solo, deadlineMs: number) {
  const options = { 'grpc.enable_http_proxy': 0, 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_retries': 0 }
  const client = new TenantServiceClient(address, credentials.createInsecure(), options)
  const platform = new PlatformServiceClient(address, credentials.createInsecure(), options)
  const timed = async (send: (metadata: Metadata, options: object, done: (err: ServiceError | null) => void) => unknown, key: string) => {
    const metadata = new Metadata()
    metadata.set('authorization', `Bearer ${key}`)
    const begun = performance.now()
    const code = await new Promise<string>((resolve) => {
      send(metadata, { deadline: Date.now() + deadlineMs }, (err) => resolve(err ? (status[err.code] as string) : 'OK'))
    })
    return { code, tookMs: performance.now() - begun }
  }
  return {
    read: (tenantId: string, key = own) =>
      timed((metadata, options, done) => client.getTenant(GetTenantRequest.create({ tenantId }), metadata, options, done), key),
    write: (tenantId: string, key = own) =>
      timed((metadata, options, done) => {
        const request = UpdateTenantRequest.create({ tenantId, displayName: randomUUID(), requestId: randomUUID() })
        client.updateTenant(request, metadata, options, done)
      }, key),
    /** Asks nothing of the database but who it is that calls. */
    info: (key: string) => timed((metadata, options, done) => platform.getServerInfo({}, metadata, options, done), key),
    close: () => {
      client.close()
      platform.close()
    },
  }
}

const http = async ({ httpPort }: Solo, path: string) => (await fetch(`http://127.0.0.1:${httpPort}${path}`)).status

describe('PostgreSQL', () => {
  it.each<[string, () => Promise<void>, () => Promise<void>]>([
    ['F-03 stopped (SIGSTOP)', () => cluster.pause(), () => cluster.resume()],
    ['F-11 behind a black hole', async () => proxy.blackHole(true), async () => proxy.blackHole(false)],
    [
      'F-11 behind a black hole that forgets its connections',
      async () => proxy.blackHole(true),
      async () => {
        proxy.resetAll()
        proxy.blackHole(false)
      },
    ],
    ['gone (ECONNREFUSED)', () => proxy.refuse(true).then(() => proxy.resetAll()), () => proxy.refuse(false)],
  ])('C-092 %s: nobody is let in, all are told within their deadline, readiness says so; then all is well again', async (_, away, back) => {
    const solo = await begin()
    const { id } = await newTenant(solo)
    const deadlineMs = 1_000
    const calls = caller(solo, deadlineMs)
    const patient = caller(solo, 6_000)
    const madeUp = makePlatformKey()
    try {
      expect(await http(solo, '/readyz')).toBe(200)
      expect((await calls.read(id)).code).toBe('OK')
      const before = solo.lines.length
      await away()
      const ends: { code: string; tookMs: number }[] = []
      for (let wave = 0; wave < (full ? 60 : 3); wave++) {
        const all = Array.from({ length: 10 }, () => [calls.read(id), calls.write(id), calls.read(id, madeUp), calls.info(madeUp)]).flat()
        ends.push(...(await Promise.all(all)))
        expect(await http(solo, '/healthz')).toBe(200)
      }
      expect([...new Set(ends.map(({ code }) => code))].filter((code) => !/^(UNAVAILABLE|DEADLINE_EXCEEDED)$/.test(code))).toEqual([])
      expect(Math.max(...ends.map(({ tookMs }) => tookMs))).toBeLessThan(deadlineMs + slackMs)
      expect(await http(solo, '/readyz')).toBe(503)
      // the service itself is done with them too
      const lines = () => solo.lines.slice(before).filter(({ msg }) => msg === 'call')
      await until(() => lines().length === ends.length, { timeoutMs: slackMs })
      expect(Math.max(...lines().map((line) => Number(line['duration_ms'])))).toBeLessThan(deadlineMs + slackMs)
      // who waits until the database could not be asked is not let in either
      expect((await patient.info(madeUp)).code).toMatch(/^(UNAVAILABLE|DEADLINE_EXCEEDED)$/)
      await back()
      await until(async () => (await calls.read(id)).code === 'OK' && (await calls.write(id)).code === 'OK', { timeoutMs: 15_000 })
      await until(async () => (await http(solo, '/readyz')) === 200, { timeoutMs: 15_000 })
      const again = await Promise.all(Array.from({ length: 20 }, () => patient.read(id)))
      expect(again.map(({ code }) => code)).toEqual(Array(20).fill('OK'))
      expect((await calls.read(id, madeUp)).code).toBe('UNAUTHENTICATED')
    } finally {
      await back()
      calls.close()
      patient.close()
    }
  })

  it('F-04 killed and restarted under load: all that was acknowledged is there, and once', async () => {
    const fault = faultRun('F-04')
    const solo = await begin()
    const [callers, kills] = full ? [16, 30] : [8, 3]
    const ids = await Promise.all(Array.from({ length: callers }, async () => (await newTenant(solo)).id))
    const acknowledged = new Map(ids.map((id) => [id, 0]))
    const created: string[] = []
    const unexpected: unknown[] = []
    let [over, failures] = [false, 0]
    const isAway = (err: unknown) =>
      err instanceof RpcError && /^(UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|RESOURCE_EXHAUSTED)$/.test(err.code)
    const untilKnown = async (ask: () => Promise<unknown>) => {
      for (;;) {
        const failure = await ask().then(
          () => undefined,
          (err: Error) => err,
        )
        if (failure === undefined) return true
        if (!isAway(failure)) return void unexpected.push(failure)
        failures++
        await sleep(20)
      }
    }
    const update = async (tenantId: string) => {
      for (let nth = 1; !over; nth++) {
        const request = { tenantId, displayName: `${nth}`, requestId: randomUUID() }
        if (!(await untilKnown(() => solo.clients.tenants.updateTenant(request)))) return
        acknowledged.set(tenantId, nth)
      }
    }
    /** One that happens twice finds its slug taken. */
    const create = async () => {
      while (!over) {
        const request = creation()
        if (!(await untilKnown(() => solo.clients.tenants.createTenant(request)))) return
        created.push(request.slug)
      }
    }
    // so that answers are under way at any moment, COMMIT's among them
    proxy.latencyMs = 50
    try {
      const working = Promise.all([...ids.map(update), create(), create()])
      const more = async () => {
        const before = Math.min(...acknowledged.values())
        await until(() => unexpected.length > 0 || Math.min(...acknowledged.values()) >= before + 3, { timeoutMs: 30_000 })
      }
      for (let kill = 0; kill < kills; kill++) {
        await more()
        // what was committed just now is never told
        proxy.blackHole(true)
        await cluster.kill()
        proxy.resetAll()
        proxy.blackHole(false)
        await cluster.restart()
      }
      fault.recovering()
      await more()
      over = true
      await working
    } finally {
      over = true
      proxy.latencyMs = 0
      proxy.blackHole(false)
    }
    const answered = created.length + [...acknowledged.values()].reduce((sum, count) => sum + count, 0)
    fault.report(answered, { unexpected: unexpected.length }, { kills, 'calls that failed and were repeated': failures })
    expect(unexpected).toEqual([])
    expect(failures).toBeGreaterThan(0)
    const slugs = await superuser.query('select slug from platform.tenants where slug = any($1)', [created])
    expect(slugs.rowCount).toBe(created.length)
    for (const [id, count] of acknowledged) {
      const stored = await superuser.query(
        `select domain_sequence::int as last, count(*)::int as n, count(*) filter (where type ~ '[.]tenant[.]updated[.]')::int as changes
        from platform.tenant_counters join platform.events using (tenant_id) where tenant_id = $1 and stream = 'domain' group by 1`,
        [id],
      )
      expect(stored.rows[0]).toMatchObject({ last: stored.rows[0].n, changes: count })
      expect((await solo.clients.tenants.getTenant({ tenantId: id })).displayName).toBe(`${count}`)
    }
  })

  it('the deadline of a caller ends the work in the database too', async () => {
    // else they would end it in the end
    for (const limit of ['lock_timeout', 'statement_timeout'])
      await superuser.query(`alter role app in database ${database.name} set ${limit} = '60s'`)
    const solo = await begin()
    const { id } = await newTenant(solo)
    const calls = caller(solo, 300)
    const holder = await superuser.connect()
    const waiting = async () =>
      (await superuser.query("select from pg_stat_activity where datname = $1 and usename = 'app' and state = 'active'", [database.name]))
        .rowCount
    try {
      await holder.query('begin')
      await holder.query('select from platform.tenants where id = $1 for update', [id])
      const ends = Array.from({ length: 4 }, () => calls.write(id))
      await until(async () => (await waiting())! > 0, { timeoutMs: 10_000 })
      expect((await Promise.all(ends)).map(({ code }) => code)).toEqual(Array(4).fill('DEADLINE_EXCEEDED'))
      await until(async () => (await waiting()) === 0, { timeoutMs: 10_000 })
    } finally {
      await holder.query('rollback')
      holder.release()
      calls.close()
      await superuser.query(`alter role app in database ${database.name} reset all`)
    }
    expect((await solo.clients.tenants.getTenant({ tenantId: id })).displayName).toBe('Away')
  })
})

describe('Redis', () => {
  let redis: RedisServer | undefined
  beforeAll(async () => {
    redis = await startRedis().catch((err) => {
      if (!(err instanceof ServiceMissing)) throw err
      return undefined
    })
  })
  afterAll(() => redis?.stop())

  it.each<[string, () => Promise<void> | undefined, () => Promise<void> | undefined]>([
    ['stopped (SIGSTOP)', () => redis?.pause(), () => redis?.resume()],
    ['killed', () => redis?.kill(), () => redis?.restart()],
  ])('F-05 %s: calls go on, who is revoked stays out, and failed authentications are limited all the same', async (_, away, back) => {
    if (!redis) return
    const env = { REDIS_URL: redis.url, REDIS_PREFIX: `${randomUUID()}:`, AUTH_FAILURES_PER_MINUTE: '20' }
    const solo = await begin(env)
    const { id } = await newTenant(solo)
    const calls = caller(solo, 5_000)
    const other = await makeKey(solo.pool, ['platform-view-tenants'])
    try {
      expect((await calls.read(id, other.key)).code).toBe('OK')
      await away()
      for (let nth = 0; nth < 20; nth++) expect([(await calls.read(id)).code, (await calls.write(id)).code]).toEqual(['OK', 'OK'])
      expect(await http(solo, '/readyz')).toBe(200)
      await other.revoke()
      await until(async () => (await calls.read(id, other.key)).code === 'UNAUTHENTICATED', { timeoutMs: 5_000 })
      const codes: string[] = []
      for (let nth = 0; nth < 40; nth++) codes.push((await calls.read(id, makePlatformKey())).code)
      expect([...new Set(codes)]).toEqual(['UNAUTHENTICATED', 'RESOURCE_EXHAUSTED'])
      expect(codes.filter((code) => code === 'UNAUTHENTICATED').length).toBeLessThanOrEqual(20)
    } finally {
      await back()
      calls.close()
    }
  })
})
