import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Database } from '../../server/db/database.js'
import { inTenant } from '../../server/db/in-tenant.js'
import { openPool } from '../../server/db/pool.js'
import type { TenantTx } from '../../server/db/tx.js'
import { Fault } from '../../server/rpc/fault.js'
import '../../server/services/invitations/invitations.table.js'
import '../../server/services/roles/roles.table.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { faultRun } from '../support/fault-run.js'
import { theCluster } from '../support/solo.js'
import { type Bench, event, invitationRow, openBench } from '../support/transactions.js'

const full = process.env['N'] === 'full'
let database: TestDatabase
let superuser: pg.Pool
let bench: Bench
let [mine, others]: [string, string] = ['', '']

beforeAll(async () => {
  database = await createDatabase(theCluster())
  superuser = openPool({ url: database.superuserUrl, max: 2 })
  bench = await openBench(database)
  ;[mine, others] = [await bench.onboard(), await bench.onboard()]
})
afterAll(async () => {
  await bench?.close()
  await superuser?.end()
  await database?.drop()
})

const schemaName = (id: string) => `t_${id.slice(4)}`
const counters = async (id: string) => (await superuser.query('select * from platform.tenant_counters where tenant_id = $1', [id])).rows[0]
const sequence = async (id: string) => Number((await counters(id)).domain_sequence)
const whoAmI = (tx: TenantTx) => sql<{ role: string }>`select current_user as role, pg_backend_pid() as pid`.execute(tx.tenant)
const at = (options: Parameters<Bench['call']>[0], fn: (tx: TenantTx) => Promise<unknown>, db: Database = bench.db) =>
  inTenant(db, bench.call(options), fn)

it('F-14 a hot tenant beside others: they are served while it is stuck; its queue is bounded, and who finds it full is told when to come again', async () => {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  let [inside, most] = [0, 0]
  const hot = Array.from({ length: 300 }, () =>
    at({ tenantId: mine }, async (tx) => {
      await tx.now
      most = Math.max(most, ++inside)
      await opened
      inside--
    }),
  )
  const settled = Promise.allSettled(hot)
  const before = await sequence(others)
  for (let nth = 0; nth < 20; nth++) await at({ tenantId: others }, async (tx) => tx.emit(event()))
  await at({ tenantId: mine, readOnly: true }, whoAmI)
  expect(await sequence(others)).toBe(before + 20)
  expect(inside).toBe(4)
  open()
  const results = await settled
  const refused = results.filter((result) => result.status === 'rejected')
  expect(refused).toHaveLength(96)
  for (const { reason } of refused) expect(reason).toMatchObject({ reason: 'TENANT_BUSY', retryAfterMs: expect.any(Number) })
  expect(most).toBe(4)
})

describe('named statements', () => {
  it('never more than 512 of a connection, however many shapes it sees', async () => {
    const one = await openBench(database, { max: 1 })
    const shapes = 700
    try {
      for (let nth = 0; nth < shapes; nth += 25) {
        const batch = Array.from({ length: 25 }, (_, i) => sql.lit(nth + i).as('n'))
        const read = async (tx: TenantTx) => {
          for (const column of batch) await tx.tenant.selectFrom('roles').select(column).execute()
        }
        await at({ tenantId: mine, readOnly: true }, read, one.db)
      }
      const { rows } = await one.db.pool.query('select count(*)::int as n from pg_prepared_statements')
      expect(rows[0].n).toBeGreaterThan(400)
      expect(rows[0].n).toBeLessThanOrEqual(512 + 30)
    } finally {
      await one.close()
    }
  })

  it('0A000 after a migration: healed on every connection by the one retry', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0)
    const together = async () => {
      let waiting = 8
      let open = () => {}
      const opened = new Promise<void>((resolve) => {
        open = resolve
      })
      const read = (tx: TenantTx) => tx.tenant.selectFrom('roles').selectAll().execute()
      const seen = new Set<number>()
      const reading = async (tx: TenantTx) => {
        const { pid } = (await whoAmI(tx)).rows[0] as unknown as { pid: number }
        seen.add(pid)
        if (--waiting === 0) open()
        await opened
        await read(tx)
      }
      await Promise.all(Array.from({ length: 8 }, () => at({ tenantId: mine, readOnly: true }, reading)))
      return seen
    }
    try {
      expect((await together()).size).toBe(8)
      await superuser.query(`alter table ${schemaName(mine)}.roles add column extra integer`)
      await together()
      for (let nth = 0; nth < 8; nth++)
        await at({ tenantId: mine, readOnly: true }, (tx) => tx.tenant.selectFrom('roles').selectAll().execute())
    } finally {
      vi.restoreAllMocks()
    }
  })
})

it('F-33 C-078 F-35 backends killed at random under load: all that was acknowledged is there, once; no number is missing or runs backwards', async () => {
  const writes = full ? 60_000 : 600
  const fault = faultRun('F-33')
  const [writers, tenants] = [16, [mine, others, await bench.onboard(), await bench.onboard()]]
  const before = await Promise.all(tenants.map(counters))
  const replicas = [bench, await openBench(database)]
  const acknowledged = new Map<string, string>()
  let [nth, surfaced, killed, over] = [0, 0, 0, false]
  const write = async (db: Database, tenantId: string) => {
    const id = randomUUID()
    for (let tries = 0; tries < 20; tries++) {
      const work = at(
        { tenantId, requestId: id },
        async (tx) => {
          await tx.tenant.selectFrom('roles').select('key').execute()
          tx.later(tx.tenant.insertInto('invitations').values(invitationRow({ email: id, owner: false })), 1)
          tx.emit(event(id))
          tx.emit(event(`${id} again`))
          tx.audit(id)
          return id
        },
        db,
      )
      const answer = await work.catch((err: unknown) => {
        if (!(err instanceof Fault && /^(DEPENDENCY_DOWN|CONFLICT)$/.test(err.reason))) throw err
        surfaced++
      })
      if (answer === id) return void acknowledged.set(id, tenantId)
    }
  }
  const killing = (async () => {
    while (!over) {
      const { rows } = await superuser.query(
        `select pid from pg_stat_activity where datname = current_database() and usename = 'app' order by pid`,
      )
      const victim = rows[Math.floor(fault.random() * rows.length)]
      if (victim) killed += (await superuser.query('select pg_terminate_backend($1)', [victim.pid])).rowCount ?? 0
      await new Promise((resolve) => setTimeout(resolve, 15))
    }
  })()
  try {
    const work = async (own: number) => {
      while (nth < writes) await write(replicas[nth % 2]!.db, tenants[(nth++ + own) % tenants.length]!)
    }
    await Promise.all(Array.from({ length: writers }, (_, own) => work(own)))
  } finally {
    over = true
    await killing
    await replicas[1]!.close()
  }
  fault.report(writes, { missing: writes - acknowledged.size }, { killed, 'errors that reached the caller': surfaced })
  expect(acknowledged.size).toBe(writes)
  for (const [i, tenantId] of tenants.entries()) {
    const ids = [...acknowledged].filter(([, of]) => of === tenantId).map(([id]) => id)
    const sorted = [...ids].sort()
    const { rows: events } = await superuser.query(
      `select sequence, payload, time >= lag(time, 1, time) over (order by sequence) as onwards from platform.events
       where tenant_id = $1 and stream = 'domain' and sequence > $2 order by sequence`,
      [tenantId, before[i].domain_sequence],
    )
    expect(events.map((row) => Number(row.sequence))).toEqual(
      ids.flatMap((_, n) => [1, 2].map((k) => Number(before[i].domain_sequence) + 2 * n + k)),
    )
    expect(events.every((row) => row.onwards)).toBe(true)
    expect(events.map((row) => row.payload).sort()).toEqual(ids.flatMap((id) => [id, `${id} again`]).sort())
    const { rows: trail } = await superuser.query(
      `select audit_seq, entry, time >= lag(time, 1, time) over (order by audit_seq) as onwards from ${schemaName(tenantId)}.audit_entries order by audit_seq`,
    )
    expect(trail.map((row) => Number(row.audit_seq))).toEqual(ids.map((_, n) => n + 1))
    expect(trail.every((row) => row.onwards)).toBe(true)
    expect(trail.map((row) => row.entry).sort()).toEqual(sorted)
    const { rows } = await superuser.query(`select email from ${schemaName(tenantId)}.invitations order by email collate "C"`)
    expect(rows.map((row) => row.email)).toEqual(sorted)
    expect(await counters(tenantId)).toMatchObject({ domain_sequence: events.at(-1).sequence, audit_seq: String(ids.length) })
  }
  expect(killed).toBeGreaterThan(writes / 100)
})
