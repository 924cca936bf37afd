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
import { makeKey } from '../support/keys.js'
import { type PostgresCluster, startPostgresCluster } from '../support/postgres.js'
import { type RedisServer, startRedis } from '../support/redis.js'
import { ServiceMissing } from '../support/service-process.js'
import { type Solo, startSolo } from '../support/solo.js'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'

const full = process.env['N'] === 'full'
/** For a machine that has much to do. */
const slackMs = 3_000

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

const newTenant = (solo: Solo) =>
  solo.clients.tenants.createTenant({
    slug: `away-${randomUUID().slice(0, 13)}`,
    displayName: 'Away',
    ownerEmail: 'owner@acme.example',
    requestId: randomUUID(),
  })

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
      // by now nothing is remembered of any key, and what asks the database has failed
      ends.push(...(await Promise.all([patient.info(madeUp), calls.info(firstKey)])))
      expect([...new Set(ends.map(({ code }) => code))].filter((code) => !/^(UNAVAILABLE|DEADLINE_EXCEEDED)$/.test(code))).toEqual([])
      expect(Math.max(...ends.slice(0, -2).map(({ tookMs }) => tookMs))).toBeLessThan(deadlineMs + slackMs)
      expect(await http(solo, '/readyz')).toBe(503)
      // the service itself is done with them too
      const lines = () => solo.lines.slice(before).filter(({ msg }) => msg === 'call')
      await until(() => lines().length === ends.length, { timeoutMs: slackMs })
      expect(Math.max(...lines().map((line) => Number(line['duration_ms'])))).toBeLessThan(6_000 + slackMs)
      await back()
      await until(async () => (await calls.read(id)).code === 'OK' && (await calls.write(id)).code === 'OK', { timeoutMs: 15_000 })
      await until(async () => (await http(solo, '/readyz')) === 200, { timeoutMs: 15_000 })
      const again = await Promise.all(Array.from({ length: 20 }, () => calls.read(id)))
      expect(again.map(({ code }) => code)).toEqual(Array(20).fill('OK'))
      expect((await calls.read(id, madeUp)).code).toBe('UNAUTHENTICATED')
    } finally {
      await back()
      calls.close()
      patient.close()
    }
  })

  it('F-04 killed and restarted under load: all that was acknowledged is there, and once', async () => {
    const solo = await begin()
    const [callers, kills] = full ? [16, 20] : [6, 2]
    const ids = await Promise.all(Array.from({ length: callers }, async () => (await newTenant(solo)).id))
    const acknowledged = new Map(ids.map((id) => [id, [] as string[]]))
    const unexpected: unknown[] = []
    let [over, failures] = [false, 0]
    const work = async (id: string) => {
      for (let nth = 1; !over; nth++) {
        const request = { tenantId: id, displayName: `${id} ${nth}`, requestId: randomUUID() }
        // what nobody knows the outcome of is asked again under the same id
        while (!(await solo.clients.tenants.updateTenant(request).then(() => true, failed))) {
          failures++
          await sleep(20)
        }
        acknowledged.get(id)!.push(request.displayName)
      }
    }
    const failed = (err: unknown) => {
      if (!(err instanceof RpcError && /^(UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|RESOURCE_EXHAUSTED)$/.test(err.code))) unexpected.push(err)
      return false
    }
    const working = Promise.all(ids.map(work))
    const many = () => Math.min(...[...acknowledged.values()].map((done) => done.length))
    for (let kill = 0; kill < kills; kill++) {
      const before = many()
      await until(() => many() >= before + 5, { timeoutMs: 30_000 })
      await cluster.kill()
      await cluster.restart()
    }
    const before = many()
    await until(() => many() >= before + 5, { timeoutMs: 30_000 })
    over = true
    await working
    expect(unexpected).toEqual([])
    expect(failures).toBeGreaterThan(0)
    for (const [id, names] of acknowledged) {
      const updates =
        "select sequence, payload::json ->> 'displayName' as name from platform.events where tenant_id = $1 and type like '%.tenant.updated.v1' order by sequence"
      const { rows } = await superuser.query(updates, [id])
      expect(rows.length).toBe(names.length)
      expect((await solo.clients.tenants.getTenant({ tenantId: id })).displayName).toBe(names.at(-1))
      const { rows: numbers } = await superuser.query(
        "select domain_sequence::int as last, (select count(*)::int from platform.events where tenant_id = $1 and stream = 'domain') as n from platform.tenant_counters where tenant_id = $1",
        [id],
      )
      expect(numbers[0].last).toBe(numbers[0].n)
    }
  })

  it('the deadline of a caller ends the work in the database too', async () => {
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
