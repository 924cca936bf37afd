import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import type pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { flight } from '../../server/db/flight.js'
import { inTenant } from '../../server/db/in-tenant.js'
import { openPool } from '../../server/db/pool.js'
import { statement } from '../../server/db/statement.js'
import type { TenantTx } from '../../server/db/tx.js'
import { Fault } from '../../server/rpc/fault.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { theCluster } from '../support/solo.js'
import { startTcpProxy } from '../support/tcp-proxy.js'
import { type Bench, openBench } from '../support/transactions.js'
import { until } from '../support/until.js'

let database: TestDatabase
let superuser: pg.Pool
let bench: Bench
let tenantId: string

beforeAll(async () => {
  database = await createDatabase(theCluster())
  superuser = openPool({ url: database.superuserUrl, max: 2 })
  // of so few connections one is shared
  bench = await openBench(database, { max: 4 })
  tenantId = await bench.onboard()
})
afterAll(async () => {
  await bench?.close()
  await superuser?.end()
  await database?.drop()
})

/** A look-up of one value; `before` runs in the handler, each time that it runs. */
const look = (value: ReturnType<typeof sql>, options: { signal?: AbortSignal; before?: () => void } = {}) =>
  inTenant(bench.db, bench.call({ tenantId, readOnly: true, ...(options.signal ? { signal: options.signal } : {}) }), async (tx) => {
    options.before?.()
    const [row] = await tx.lookUp(tx.platform.selectNoFrom([value.as('value'), sql<number>`pg_backend_pid()`.as('pid')]))
    return row as { value: unknown; pid: number }
  })
const many = (count: number, options?: Parameters<typeof look>[1]) =>
  Array.from({ length: count }, (_, i) => look(sql`${i}::int`, options).then((row) => ({ i, ...row })))

it('look-ups at the same time share a connection, and each has its own answer', async () => {
  const rows = await Promise.all(many(30))
  expect(rows.map(({ value }) => value)).toEqual(rows.map(({ i }) => i))
  expect(new Set(rows.map(({ pid }) => pid)).size).toBe(1)
  expect(bench.db.pool.idleCount).toBe(bench.db.pool.totalCount)
})

const tenantOf = (from: Bench, options: { signal?: AbortSignal } = {}) =>
  inTenant(from.db, from.call({ tenantId, readOnly: true, ...options }), (tx) =>
    tx.lookUp(tx.platform.selectFrom('tenants').select('id').where('id', '=', tenantId)),
  )

it('more look-ups than there is room for, and those behind a pooler, run under their role on connections of their own', async () => {
  const rows = await Promise.all(Array.from({ length: 80 }, () => tenantOf(bench)))
  expect(rows).toEqual(Array(80).fill([{ id: tenantId }]))
  const pooled = await openBench(database, { max: 4, named: false })
  try {
    expect(await tenantOf(pooled)).toEqual([{ id: tenantId }])
  } finally {
    await pooled.close()
  }
})

it('a call that ends while its connection comes gives it back untouched', async () => {
  const single = await openBench(database, { max: 1 })
  try {
    const gone = new AbortController()
    const first = inTenant(single.db, single.call({ tenantId, signal: gone.signal }), async (tx) => {
      // until the next borrower is in the midst of its transaction
      await sleep(60)
      return await tx.now
    })
    first.catch(() => {})
    single.db.pool.once('acquire', () => queueMicrotask(() => gone.abort(new Fault('DEADLINE', 'over'))))
    const xid = async (tx: TenantTx) =>
      (await sql<{ xid: string }>`select pg_current_xact_id()::text as xid`.execute(tx.platform)).rows[0]?.xid
    const second = inTenant(single.db, single.call({ tenantId }), async (tx) => {
      const before = await xid(tx)
      await sql`select pg_sleep(0.2)`.execute(tx.platform)
      return [before, await xid(tx)]
    })
    const [before, after] = await second
    expect(after).toBe(before)
    await expect(first).rejects.toMatchObject({ reason: 'DEADLINE' })
  } finally {
    await single.close()
  }
})

it('what was asked for beside the look-up is answered too, a mere check has its answer, and an empty text shifts no other', async () => {
  const read = <A>(fn: (tx: TenantTx) => Promise<A>, options: { validateOnly?: boolean } = {}) =>
    inTenant(bench.db, bench.call({ tenantId, readOnly: true, ...options }), fn)
  const one = (tx: TenantTx) => tx.platform.selectNoFrom(sql<number>`1`.as('value'))
  expect(await read((tx) => Promise.all([tx.now, tx.lookUp(one(tx))]))).toEqual([expect.any(Date), [{ value: 1 }]])
  expect(await read((tx) => tx.lookUp(one(tx)), { validateOnly: true })).toEqual([{ value: 1 }])
  expect(await read((tx) => tx.last(sql`-- nothing`.compile(tx.platform)))).toEqual([])
})

it('what waits its turn is not stuck: look-ups of 15 ms run once each', async () => {
  let runs = 0
  const all = Array.from({ length: 30 }, () => look(sql`(select 1 from pg_sleep(0.015))`, { before: () => void runs++ }))
  expect((await Promise.all(all)).map(({ value }) => value)).toEqual(Array(30).fill(1))
  expect(runs).toBe(30)
})

it('pg’s own read timer ends with the answer, and a name that outlived a change of its table is prepared anew', async () => {
  const url = new URL(database.urls.app)
  url.searchParams.set('query_timeout', '300')
  const timed = await openBench(database, { max: 1, url: url.href })
  const go = () => flight(timed.db.pool, 'platform_app', [statement('select * from platform.renamed')], { readOnly: true, named: true })
  try {
    await superuser.query('create table platform.renamed (a integer default 1); grant select on platform.renamed to platform_app')
    await superuser.query('insert into platform.renamed default values')
    let removed = 0
    timed.db.pool.on('remove', () => void removed++)
    expect((await go())[0]?.rows).toEqual([{ a: 1 }])
    await sleep(600)
    expect(removed).toBe(0)
    await superuser.query('alter table platform.renamed add column b integer default 2')
    expect((await go())[0]?.rows).toEqual([{ a: 1, b: 2 }])
  } finally {
    await timed.close()
    await superuser.query('drop table platform.renamed')
  }
})

it('a connection goes back to the pool after a thousand look-ups, however many wait for it', async () => {
  let acquired = 0
  const count = () => void acquired++
  bench.db.pool.on('acquire', count)
  let left = 3_500
  const work = async () => {
    // so that one is always under way
    while (left-- > 0) await look(sql`(select 1 from pg_sleep(random() / 500))`)
  }
  await Promise.all(Array.from({ length: 30 }, work))
  bench.db.pool.off('acquire', count)
  expect(acquired).toBeGreaterThanOrEqual(4)
  expect(acquired).toBeLessThan(1_000)
})

it('a value that cannot be written fails its own call, and its connection is not used again', async () => {
  const single = await openBench(database, { max: 1 })
  try {
    const run = (text: string, ...values: unknown[]) => flight(single.db.pool, 'platform_app', [{ role: undefined, text, values }])
    const pid = async () => (await run('select pg_backend_pid() as pid'))[0]?.rows[0].pid as number
    const before = await pid()
    expect(await pid()).toBe(before)
    await expect(run('select $1::int', Symbol('x'))).rejects.toThrow()
    expect(await pid()).not.toBe(before)
  } finally {
    await single.close()
  }
})

it('what is stuck holds up itself alone: those behind it go elsewhere', async () => {
  let over = false
  const stuck = look(sql`(select 1 from pg_sleep(3))`).finally(() => {
    over = true
  })
  let runs = 0
  const rows = await Promise.all(many(30, { before: () => void runs++ }))
  expect(over).toBe(false)
  expect(rows.map(({ value }) => value)).toEqual(rows.map(({ i }) => i))
  expect(runs).toBeGreaterThan(30)
  expect((await stuck).value).toBe(1)
})

it('a database that is far away answers all the same', async () => {
  const url = new URL(database.urls.app)
  const proxy = await startTcpProxy({ port: Number(url.port) })
  url.port = String(proxy.port)
  const far = await openBench(database, { max: 4, url: url.href })
  const get = () =>
    inTenant(far.db, far.call({ tenantId, readOnly: true }), async (tx) => tx.lookUp(tx.platform.selectNoFrom(sql<number>`1`.as('value'))))
  try {
    proxy.latencyMs = 150 // each way: beyond what counts as stuck
    const answers = await Promise.all(Array.from({ length: 12 }, get))
    expect(answers).toEqual(Array(12).fill([{ value: 1 }]))
  } finally {
    proxy.latencyMs = 0
    await far.close()
    await proxy.stop()
  }
})

it('what fails has its own error, and those that were sent behind it their answers', async () => {
  const failing = look(sql`1 / ${0}::int`)
  const rows = await Promise.all([...many(30), failing.then(() => undefined).catch((error: { code?: string }) => error.code)])
  expect(rows.pop()).toBe('22012')
  expect(rows.map((row) => (row as { value: unknown }).value)).toEqual([...Array(30).keys()])
  expect(bench.db.pool.idleCount).toBe(bench.db.pool.totalCount)
})

it('whose caller gives up is stopped in the database too, and nobody else notices', async () => {
  const late = new AbortController()
  const reason = new Fault('DEADLINE', 'over')
  const sleeping = () => superuser.query(`select from pg_stat_activity where query like '%lane-marker%' and pid <> pg_backend_pid()`)
  const stuck = look(sql`(select 'lane-marker' from pg_sleep(9))`, { signal: late.signal })
  stuck.catch(() => {})
  await until(async () => (await sleeping()).rowCount, { timeoutMs: 5000 })
  const others = many(10)
  late.abort(reason)
  await expect(stuck).rejects.toBe(reason)
  expect((await Promise.all(others)).map(({ value }) => value)).toEqual([...Array(10).keys()])
  await until(async () => (await sleeping()).rowCount === 0, { timeoutMs: 6000 })
})

it('a text that was to be prepared behind a failure is prepared the next time', async () => {
  const single = await openBench(database, { max: 1 })
  const behind = (tx: TenantTx) => sql<{ pid: number }>`select pg_backend_pid() as pid, 'behind a failure'`.execute(tx.tenant)
  try {
    const id = await single.onboard()
    const run = (fn: (tx: TenantTx) => Promise<unknown>) => inTenant(single.db, single.call({ tenantId: id }), fn)
    const before = (await run(
      async (tx) => (await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx.tenant)).rows[0]?.pid,
    )) as number
    const both = async (tx: TenantTx) => {
      await tx.now
      return await Promise.all([sql`select 1 / 0`.execute(tx.tenant), behind(tx)])
    }
    await expect(run(both)).rejects.toMatchObject({ code: '22012' })
    const after = await run(async (tx) => (await behind(tx)).rows[0]?.pid)
    expect(after).toBe(before)
    expect(await run(async (tx) => (await behind(tx)).rows[0]?.pid)).toBe(before)
  } finally {
    await single.close()
  }
})
