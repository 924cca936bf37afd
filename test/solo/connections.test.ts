import { sql } from 'kysely'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Batch } from '../../server/db/batch.js'
import type { Database } from '../../server/db/database.js'
import { inTenant } from '../../server/db/in-tenant.js'
import { type Client, openPool } from '../../server/db/pool.js'
import type { TenantTx } from '../../server/db/tx.js'
import { Fault } from '../../server/rpc/fault.js'
import '../../server/services/invitations/invitations.table.js'
import '../../server/services/roles/roles.table.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { faultRun } from '../support/fault-run.js'
import { theCluster } from '../support/solo.js'
import { type Bench, event, openBench, tamper } from '../support/transactions.js'
import { until } from '../support/until.js'

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
const sequence = async (id: string) =>
  Number((await superuser.query('select domain_sequence from platform.tenant_counters where tenant_id = $1', [id])).rows[0].domain_sequence)
const whoAmI = (tx: TenantTx) => sql<{ role: string }>`select current_user as role, pg_backend_pid() as pid`.execute(tx.tenant)
const at = (options: Parameters<Bench['call']>[0], fn: (tx: TenantTx) => Promise<unknown>, db: Database = bench.db) =>
  inTenant(db, bench.call(options), fn)
const missing = (tx: TenantTx) =>
  tx.tenant
    .selectFrom('no_such_table' as 'roles')
    .select('key')
    .execute()

describe('F-13 C-020 a client that comes back in an open transaction, an aborted one, or with a role', () => {
  const checkouts = full ? 100_000 : 1_000
  /** What a borrower may do wrong; the pool has three clients, so that the next one gets it. */
  const wrongs: ((db: Database) => Promise<unknown>)[] = [
    (db) =>
      at(
        { tenantId: mine },
        async (tx) => {
          void tx.now
          throw new Error('while the first flight is out')
        },
        db,
      ),
    (db) => at({ tenantId: mine }, missing, db),
    (db) => at({ tenantId: mine }, (tx) => missing(tx).catch(() => {}), db),
    (db) => at({ tenantId: mine, readOnly: true }, (tx) => missing(tx).catch(() => {}), db),
    (db) =>
      at(
        { tenantId: mine },
        async (tx) => {
          await tx.now
          whoAmI(tx).catch(() => {})
          await Promise.reject(new Fault('CONFLICT', 'another read is out'))
        },
        db,
      ),
    (db) =>
      at(
        { tenantId: mine, readOnly: true },
        async (tx) => {
          void tx.last(tx.tenant.selectFrom('roles').select('key')).catch(() => {})
          throw new Error('while the last flight is out')
        },
        db,
      ),
    async (db) => {
      const gone = new AbortController()
      setImmediate(() => gone.abort(new Fault('CANCELLED', 'gone')))
      await at({ tenantId: mine, signal: gone.signal }, async (tx) => void (await Promise.all([whoAmI(tx), whoAmI(tx)])), db)
    },
    (db) => borrow(db, async (client) => void (await client.query(`begin; set local role ${schemaName(mine)}`))),
    (db) => borrow(db, async (client) => void (await client.query('begin; select no_such_column').catch(() => {}))),
    (db) =>
      borrow(db, async (client) => {
        void client.query('begin').catch(() => {})
        void client.query(`set local role ${schemaName(mine)}`).catch(() => {})
      }),
  ]
  /** Code that forgets what it did. */
  async function borrow({ pool }: Database, fn: (client: pg.PoolClient) => Promise<void>) {
    const client = await pool.connect()
    await fn(client)
    client.release()
  }

  it(`the next borrower never sees it: 0 leaks of ${checkouts} checkouts`, async () => {
    const fault = faultRun('F-13')
    const small = await openBench(database, { max: 3 })
    const leaks: unknown[] = []
    let done = 0
    const probe = async () => {
      const client = await small.db.pool.connect()
      const { rows } = await client.query('select current_user as role, session_user as login')
      const status = (client as unknown as { getTransactionStatus(): string }).getTransactionStatus()
      if (rows[0].role !== rows[0].login || status !== 'I') leaks.push({ ...rows[0], status })
      client.release()
      await at(
        { tenantId: others },
        async (tx) => {
          const { role } = (await whoAmI(tx)).rows[0]!
          if (role !== schemaName(others)) leaks.push({ role })
          tx.emit(event())
        },
        small.db,
      )
    }
    const before = await sequence(others)
    const probes = { n: 0 }
    try {
      const work = async () => {
        while (done++ < checkouts && leaks.length === 0) {
          await wrongs[Math.floor(fault.random() * wrongs.length)]!(small.db).catch(() => {})
          if (done % 2) continue
          probes.n++
          await probe()
        }
      }
      await Promise.all([work(), work(), work(), work()])
      fault.report(checkouts, { leaks: leaks.length })
      expect(leaks).toEqual([])
      expect(await sequence(others)).toBe(before + probes.n)
      expect(await sequence(mine)).toBe(0)
    } finally {
      await small.close()
    }
  })
})

describe('a COMMIT', () => {
  it.each([
    ['answered with ROLLBACK', 'commit', 'rollback'],
    ['behind a serialisation failure', 'select platform.publish', failing('40001')],
    ['behind a deadlock', 'select platform.publish', failing('40P01')],
    ['behind a lock that was not to be had', 'select platform.publish', failing('55P03')],
  ])('F-33 %s: the handler runs anew, the effect is one; three times: the caller is told, and nothing happened', async (_, text, other) => {
    let times = 0
    const hurt = await openBench(database, { max: 2, named: false })
    tamper(hurt.db.pool, (sent) => (sent.startsWith(text) && times-- > 0 ? other : undefined))
    const tenantId = await hurt.onboard()
    try {
      let runs = 0
      const act = () =>
        at(
          { tenantId },
          async (tx) => {
            runs++
            tx.emit(event())
          },
          hurt.db,
        )
      times = 1
      await act()
      expect([runs, await sequence(tenantId)]).toEqual([2, 1])
      times = 3
      await expect(act()).rejects.toMatchObject({ reason: text === 'commit' ? 'DEPENDENCY_DOWN' : 'CONFLICT' })
      expect([runs, await sequence(tenantId)]).toEqual([5, 1])
    } finally {
      await hurt.close()
    }
  })

  it('F-35 carried out, but its answer is lost with the connection: under a claim the caller hears the kept answer, without one that nobody knows; never twice', async () => {
    let losses = 0
    const hurt = await openBench(database, { max: 2 })
    hurt.db.pool.on('connect', (client) => {
      const query = client.query.bind(client) as (batch: Batch) => Batch
      const losing = (batch: Batch) => {
        if (batch.statements.at(-1)?.text !== 'commit' || losses-- <= 0) return query(batch)
        const complete = batch.handleCommandComplete.bind(batch)
        // it was carried out, but nobody hears of it
        batch.handleCommandComplete = (message) => void (message.text === 'COMMIT' || complete(message))
        batch.handleReadyForQuery = () => {
          ;(client as unknown as Client).connection.stream.destroy()
          batch.handleError(new Error('Connection terminated unexpectedly'))
        }
        return query(batch)
      }
      Object.assign(client, { query: losing })
    })
    const tenantId = await hurt.onboard()
    try {
      const act = (requestId?: string) =>
        at(
          { tenantId, ...(requestId ? { requestId } : {}) },
          async (tx) => {
            tx.emit(event())
            return 'done'
          },
          hurt.db,
        )
      // the first connection was there before
      await Promise.all([hurt.db.pool.connect(), hurt.db.pool.connect()].map(async (client) => (await client).release(true)))
      losses = 1
      expect(await act('with a claim')).toBe('done')
      expect([losses, await sequence(tenantId)]).toEqual([0, 1])
      losses = 1
      await expect(act()).rejects.toMatchObject({ reason: 'DEPENDENCY_DOWN' })
      expect(await sequence(tenantId)).toBe(2)
    } finally {
      await hurt.close()
    }
  })
  function failing(state: string) {
    return `do $$ begin raise exception 'injected' using errcode = '${state}'; end $$`
  }
})

describe('a deadline', () => {
  it('ends the statement too: the caller hears at once, and the backend is gone', async () => {
    const late = new AbortController()
    const sleeping = 'select from pg_stat_activity where datname = current_database() and query like $1 and pid <> pg_backend_pid()'
    const work = at({ tenantId: mine, signal: late.signal }, (tx) => sql`select pg_sleep(9), 'marked'`.execute(tx.tenant))
    work.catch(() => {})
    await until(async () => (await superuser.query(sleeping, ['%marked%'])).rowCount, { timeoutMs: 5000 })
    const reason = new Fault('DEADLINE', 'over')
    late.abort(reason)
    await expect(work).rejects.toBe(reason)
    await until(async () => (await superuser.query(sleeping, ['%marked%'])).rowCount === 0, { timeoutMs: 6000 })
  })

  it('that passes while the call waits for a connection costs no connection', async () => {
    const small = await openBench(database, { max: 2 })
    try {
      const held = [await small.db.pool.connect(), await small.db.pool.connect()]
      const ids = await Promise.all(
        held.map(async (client) => (await client.query('select pg_backend_pid() as pid')).rows[0].pid as number),
      )
      const late = new AbortController()
      let started = 0
      const calls = Array.from({ length: 20 }, () =>
        at(
          { tenantId: mine, readOnly: true, signal: late.signal },
          async (tx) => {
            await tx.now
            started++
          },
          small.db,
        ),
      )
      await until(() => small.db.pool.waitingCount === 20, { timeoutMs: 2000 })
      const reason = new Fault('DEADLINE', 'over')
      late.abort(reason)
      for (const client of held) client.release()
      for (const call of await Promise.allSettled(calls)) expect(call).toEqual({ status: 'rejected', reason })
      const still = await at({ tenantId: mine, readOnly: true }, async (tx) => (await whoAmI(tx)).rows[0], small.db)
      expect(ids).toContain((still as unknown as { pid: number }).pid)
      expect(started).toBe(0)
    } finally {
      await small.close()
    }
  })
})
