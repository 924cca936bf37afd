import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { oldestXmin } from '../../server/db/oldest-xmin.job.js'
import { openPool } from '../../server/db/pool.js'
import { settingsToMend } from '../../server/db/server-settings.js'
import { type Job, noLease } from '../../server/jobs/job.js'
import { readCounters, readGauges } from '../../server/telemetry/metrics.js'
import { type Cluster, createDatabase, prepareCluster, type TestDatabase } from '../support/databases.js'
import { type PostgresCluster, startPostgresCluster } from '../support/postgres.js'
import { until } from '../support/until.js'

// ids of transactions, settings and standbys are the whole server's
let server: PostgresCluster
let cluster: Cluster
beforeAll(async () => {
  server = await startPostgresCluster({ crashSafe: false })
  cluster = await prepareCluster(server.superuserUrl)
})
afterAll(() => server?.stop())

let database: TestDatabase
let superuser: pg.Pool
let retention: pg.Pool
let client: pg.PoolClient
let job: Job
let seconds: number
let lines: unknown[]
beforeEach(async () => {
  database = await createDatabase(cluster)
  superuser = openPool({ url: database.superuserUrl, max: 3 })
  retention = openPool({ url: database.urls.retention, max: 1 })
  client = await superuser.connect()
  lines = []
  seconds = 0
  const at = (level: string) => (fields: object, msg: string) => void lines.push({ level, ...fields, msg })
  const log = { info: at('info'), warn: at('warn'), error: at('error') }
  job = oldestXmin({ pool: retention, log, nowMs: () => seconds * 1_000 })
})
afterEach(async () => {
  await client?.query('rollback')
  client?.release()
  await Promise.all([superuser?.end(), retention?.end()])
  await database?.drop()
})

/** What the job measures at this second, after others have written. */
async function measuredAt(second: number): Promise<number | undefined> {
  seconds = second
  await superuser.query('select pg_current_xact_id()')
  await job.run({ signal: new AbortController().signal, lease: noLease(job.name) })
  return readGauges()['db.xmin.seconds']
}
const alarms = () => readCounters()['db.xmin.alarm'] ?? 0

it.each([
  ['a snapshot that only reads', 'begin isolation level repeatable read; select 1'],
  ['a transaction that has written and rests', 'begin; select pg_current_xact_id()'],
])('the age of %s is measured; from 60 s on the alarm names who holds it, once, until it is gone', async (_, begin) => {
  const before = alarms()
  expect(await measuredAt(0)).toBe(0)
  await client.query(begin)
  const { rows } = await client.query('select pg_backend_pid() as pid')
  expect(await measuredAt(10)).toBe(0)
  expect(await measuredAt(40)).toBe(30)
  expect([lines, alarms() - before]).toEqual([[], 0])
  expect(await measuredAt(70)).toBe(60)
  expect(await measuredAt(80)).toBe(70)
  const holder = expect.stringMatching(`^session ${rows[0].pid} postgres`)
  expect(lines).toEqual([{ level: 'error', seconds: 60, transactions: expect.any(Number), holder, msg: expect.stringContaining('ALARM') }])
  expect(alarms() - before).toBe(2)
  await client.query('commit')
  expect(await measuredAt(90)).toBe(0)
  expect(lines.slice(1)).toEqual([{ level: 'info', seconds: 0, msg: 'the old snapshot is gone' }])
})

it('a snapshot that follows another is as old as it is itself', async () => {
  const snapshot = 'begin isolation level repeatable read; select 1'
  await measuredAt(0)
  await client.query(snapshot)
  expect(await measuredAt(10)).toBe(0)
  const other = await superuser.connect()
  try {
    await other.query(snapshot)
    expect(await measuredAt(50)).toBe(40)
    await client.query('commit')
    expect(await measuredAt(80)).toBe(30)
  } finally {
    await other.query('commit')
    other.release()
  }
  expect(await measuredAt(200)).toBe(0)
})

it('a standby that streams asks for synchronous_standby_names, and says so only while that is empty', async () => {
  const app = openPool({ url: database.urls.app, max: 1 })
  const asked = async () => (await settingsToMend(app)).filter((line) => line.startsWith('synchronous_standby_names'))
  const set = async (names: string) => {
    await superuser.query(`alter system set synchronous_standby_names = '${names}'`)
    await superuser.query('select pg_reload_conf()')
    await until(async () => (await superuser.query('show synchronous_standby_names')).rows[0].synchronous_standby_names === names, {
      timeoutMs: 10_000,
    })
  }
  const standby = new pg.Client({ connectionString: server.superuserUrl, replication: 'true' } as pg.ClientConfig)
  standby.on('error', () => {})
  try {
    expect(await asked()).toEqual([])
    await standby.connect()
    expect(await asked()).toEqual([expect.stringContaining('one streams')])
    await set('other')
    expect(await asked()).toEqual([])
  } finally {
    await set('')
    await Promise.all([standby.end(), app.end()])
  }
})
