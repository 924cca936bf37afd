import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { listSchema } from '../../server/db/catalogue.js'
import { type Connection, connectOnce } from '../../server/db/connect.js'
import { openPool } from '../../server/db/pool.js'
import { makeRingKey } from '../../server/keys/ring.js'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import { type Clients, connect, type RpcError } from '../support/client.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { faultRun } from '../support/fault-run.js'
import { makeKey } from '../support/keys.js'
import { newSlug, onboard } from '../support/rpc.js'
import { databaseEnv, type ServerProcess, startServerProcess } from '../support/server-process.js'
import { startSolo, theCluster } from '../support/solo.js'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'

const full = process.env['N'] === 'full'
const timesPerPoint = full ? 20 : 1
let database: TestDatabase
let proxy: TcpProxy
let eye: Connection
let env: Record<string, string>
const running: ServerProcess[] = []

beforeAll(async () => {
  database = await createDatabase(theCluster())
  const direct = new URL(database.urls.app)
  proxy = await startTcpProxy({ port: Number(direct.port), protocol: 'postgres' })
  const through = new URL(direct)
  through.port = String(proxy.port)
  const { MIGRATOR_DATABASE_URL: _, ...urls } = databaseEnv({ ...database.urls, app: through.href })
  env = { ...urls, KEY_ENCRYPTION_KEYS: makeRingKey(), BOOTSTRAP_API_KEY: makePlatformKey() }
  eye = await connectOnce(database.superuserUrl)
})
afterAll(async () => {
  await Promise.all(running.map((server) => server.stop()))
  await eye?.end()
  await proxy?.stop()
  await database?.drop()
})

async function start(): Promise<{ server: ServerProcess; clients: Clients }> {
  const server = await startServerProcess(env)
  running.push(server)
  return { server, clients: connect(server.address, env['BOOTSTRAP_API_KEY']) }
}
const one = async (text: string, values: unknown[] = []) => (await eye.query(text, values)).rows[0]

/** In one snapshot: what is there without its other half. The roles of this database's tenants are those that may use a schema of it. */
const halves = `select
  (select count(*)::int from platform.tenants t where not exists (select from pg_namespace n where n.nspname = t.schema_name)
    or not exists (select from pg_roles r where r.rolname = t.schema_name)
    or not exists (select from platform.tenant_counters c where c.tenant_id = t.id)
    or not exists (select from platform.events e where e.tenant_id = t.id)) as tenants,
  (select count(*)::int from pg_namespace n where n.nspname ~ '^t_[0-9a-z]{26}$'
    and not exists (select from platform.tenants t where t.schema_name = n.nspname)) as schemas,
  (select count(*)::int from platform.tenant_counters c where c.tenant_id <> 'platform'
    and not exists (select from platform.tenants t where t.id = c.tenant_id)) as counters,
  (select count(*)::int from platform.idempotency_keys where not done) as records`
const none = { tenants: 0, schemas: 0, counters: 0, records: 0 }
const roles = async () => (await one(`select count(*)::int as n from pg_roles where rolname ~ '^t_[0-9a-z]{26}$'`)).n as number

/** All that belongs to a tenant; equal for all that were made alike. */
async function completeness(slug: string) {
  const { id, schema_name: s, state, schema_version } = await one('select * from platform.tenants where slug = $1', [slug])
  const { rows } = await eye.query('select stream, sequence, type from platform.events where tenant_id = $1 order by 1, 2', [id])
  const { tenant_id: _, ...counters } = await one('select * from platform.tenant_counters where tenant_id = $1', [id])
  const inside =
    await one(`select (select array_agg(key order by key) from ${s}.roles) as roles, (select count(*)::int from ${s}.invitations where owner) as owners,
    (select array_agg(audit_seq) from ${s}.audit_entries) as trail, (select access_revision from ${s}.tenant_state) as revision`)
  const record = await one('select count(*)::int as n, bool_and(done) as done from platform.idempotency_keys where tenant_id = $1', [id])
  const member = await one(`select pg_has_role('app', $1, 'member') as app`, [s])
  return { state, schema_version, counters, events: rows, inside, record, member, catalogue: await listSchema(eye, s) }
}

/** What stands before any of this is hurt. */
async function makeSample(clients: Clients) {
  const slug = newSlug()
  await onboard(clients, { slug })
  const whole = await completeness(slug)
  expect(whole).toMatchObject({ state: 'ACTIVE', inside: { owners: 1, trail: ['1'] }, record: { n: 1, done: true }, member: { app: true } })
  expect(whole.inside.roles).toHaveLength(3)
  expect(whole.catalogue.length).toBeGreaterThan(40)
  return whole
}
/** As the dead client's backends leave it: they may still be at work. */
async function settled(expected: number) {
  const backends = `select count(*)::int as n from pg_stat_activity where datname = current_database() and usename = 'app' and state <> 'idle'`
  await until(async () => (await one(backends)).n === expected, { timeoutMs: 10_000 })
  expect((await eye.query(halves)).rows).toEqual([none])
}

it('F-01 C-078 the connection dies at each message of an onboarding in turn: the call, or its repeat, makes one whole tenant, and nothing is left over', async () => {
  const through = { ...database, urls: { ...database.urls, app: env['DATABASE_URL']! } }
  const solo = await startSolo({ database: through, env: { BOOTSTRAP_API_KEY: env['BOOTSTRAP_API_KEY']! } })
  const direct = openPool({ url: database.urls.app, max: 1 })
  vi.spyOn(Math, 'random').mockReturnValue(0)
  const sums = { points: 0, healed: 0, repeated: 0 }
  try {
    const whole = await makeSample(solo.clients)
    // a fresh key is read first, by 20 messages and more; one that was just used is not: then the first message is the transaction's
    for (const fresh of [true, false])
      for (let point = 1; point <= 20 || !fresh; point++) {
        const key = fresh ? await makeKey(direct, ['*']) : undefined
        const clients = key ? connect(solo.address, key.key) : solo.clients
        await solo.clients.platform.getServerInfo({})
        const request = { slug: newSlug(), requestId: randomUUID() }
        const before = await roles()
        let cut = false
        proxy.atMessage(point, () => {
          cut = true
          return 'cut'
        })
        const made = await onboard(clients, request).catch((err: RpcError) => {
          expect(err.reason).toBe('DEPENDENCY_DOWN')
          return undefined
        })
        await settled(0)
        const found = await onboard(clients, request)
        if (key) clients.close()
        expect(made ?? found).toEqual(found)
        expect(await completeness(request.slug)).toEqual(whole)
        expect(await roles()).toBe(before + 1)
        if (!cut) break
        sums[made ? 'healed' : 'repeated']++
        sums.points = point
      }
  } finally {
    vi.restoreAllMocks()
    proxy.atMessage(Number.MAX_SAFE_INTEGER, () => 'pass') // the last one was not reached
    await direct.end()
    await solo.stop()
  }
  console.log(`${JSON.stringify(sums)}, half visible 0`)
  expect(sums.points).toBeGreaterThan(60)
})

it(
  'F-01 C-078 the process is killed behind messages of an onboarding: the tenant is absent or whole, the repeated call makes it whole, and nothing is left over',
  async () => {
    let { server, clients } = await start()
    const whole = await makeSample(clients)
    // of a process that knows its caller and its statements' names; the last one is what sends COMMIT off
    const warm = () => clients.tenants.listTenants({ pageSize: 1 })
    await warm()
    const from = proxy.messages
    await onboard(clients, { slug: newSlug() })
    const messages = proxy.messages - from
    const fault = faultRun('F-01')
    const first = Math.floor(fault.random() * messages)
    const some = Array.from({ length: 7 }, (_, nth) => ((first + Math.floor((nth * messages) / 7)) % messages) + 1)
    const points = full ? Array.from({ length: messages }, (_, nth) => nth + 1) : [messages, ...some]
    const sums = { kills: 0, beyond: 0, absent: 0, whole: 0, heard: 0 }
    const resumedMs: number[] = []
    const halves: unknown[] = []
    for (const point of points.flatMap((point) => Array.from({ length: timesPerPoint }, () => point))) {
      const request = { slug: newSlug(), requestId: randomUUID() }
      const before = await roles()
      await warm()
      let killed = false
      proxy.atMessage(point, () => {
        killed = true
        server.process.kill('SIGKILL')
        return 'cut'
      })
      const call = onboard(clients, request)
      const heard = await call.catch(() => undefined)
      if (!killed) {
        sums.beyond++
        expect(heard).toBeDefined()
        continue
      }
      expect(await server.exited).toBe('SIGKILL')
      clients.close()
      await settled(0)
      const there = await one('select id from platform.tenants where slug = $1', [request.slug])
      const restartMs = performance.now()
      ;({ server, clients } = await start())
      const made = await onboard(clients, request)
      resumedMs.push(performance.now() - restartMs)
      expect(made.id).toBe(there?.id ?? made.id)
      expect(made.id).toBe(heard?.id ?? made.id)
      const found = await completeness(request.slug)
      if (!isDeepStrictEqual(found, whole)) halves.push(found)
      expect(await roles()).toBe(before + 1)
      await settled(0)
      sums.kills++
      sums[there ? 'whole' : 'absent']++
      if (heard) sums.heard++
    }
    clients.close()
    resumedMs.sort((a, b) => a - b)
    const p99 = Math.round(resumedMs[Math.floor(resumedMs.length * 0.99)]!)
    fault.report(
      points.length * timesPerPoint,
      { 'half visible': halves.length },
      { messages, ...sums, 'restart and repeat, p99': `${p99} ms` },
    )
    expect(halves).toEqual([])
    expect(sums.kills + sums.beyond).toBe(points.length * timesPerPoint)
    expect(sums.kills).toBeGreaterThan(sums.beyond)
  },
  full ? 4 * 3_600_000 : 120_000,
)
