import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { inPlatform, inTenant } from '../../server/db/in-tenant.js'
import { openPool } from '../../server/db/pool.js'
import { isAbsorbed } from '../../server/db/rejections.js'
import type { TenantTx } from '../../server/db/tx.js'
import { Fault } from '../../server/rpc/fault.js'
import '../../server/services/invitations/invitations.table.js'
import '../../server/services/roles/roles.table.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { makeKey } from '../support/keys.js'
import { theCluster } from '../support/solo.js'
import { type Bench, event, invitationRow, openBench } from '../support/transactions.js'

const full = process.env['N'] === 'full'
let database: TestDatabase
let superuser: pg.Pool
let bench: Bench
let tenantId: string

beforeAll(async () => {
  database = await createDatabase(theCluster())
  superuser = openPool({ url: database.superuserUrl, max: 2 })
  bench = await openBench(database)
  tenantId = await bench.onboard()
})
afterAll(async () => {
  await bench?.close()
  await superuser?.end()
  await database?.drop()
})

const schemaName = (id = tenantId) => `t_${id.slice(4)}`
const rowsOf = async (text: string, values: unknown[] = []) => (await superuser.query(text, values)).rows
const invitations = async (id = tenantId) => (await rowsOf(`select * from ${schemaName(id)}.invitations where revoke_time is null`)).length
const counters = async (id = tenantId) => (await rowsOf('select * from platform.tenant_counters where tenant_id = $1', [id]))[0]
const reasonOf = (settled: PromiseSettledResult<unknown>) =>
  settled.status === 'fulfilled' ? 'OK' : settled.reason instanceof Fault ? settled.reason.reason : String(settled.reason)
const tally = (list: PromiseSettledResult<unknown>[]) => {
  const sums: Record<string, number> = {}
  for (const each of list) sums[reasonOf(each)] = (sums[reasonOf(each)] ?? 0) + 1
  return sums
}
/** Opens when all `n` have come. */
const barrier = (n: number) => {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return () => {
    if (--n <= 0) open()
    return opened
  }
}
const ownersOpen = (tx: TenantTx) =>
  tx.tenant.selectFrom('invitations').select('id').where('owner', '=', true).where('revoke_time', 'is', null)

describe('a rule over several rows', () => {
  it('C-015 at most one open owner invitation, in races of two: the guard lets one of each through', async () => {
    const races = full ? 300 : 100
    let [both, none] = [0, 0]
    for (let nth = 0; nth < races; nth++) {
      await superuser.query(`update ${schemaName()}.invitations set revoke_time = now() where revoke_time is null`)
      const meet = barrier(2)
      const invite = () =>
        inTenant(bench.db, bench.call({ tenantId }), async (tx) => {
          if (await ownersOpen(tx).executeTakeFirst()) throw new Fault('CONFLICT', 'seen by the read')
          await meet() // both have read that there is none
          tx.later(tx.tenant.insertInto('invitations').values(invitationRow()), 1)
          const one = tx.tenant.selectFrom('invitations').select(({ fn }) => fn.countAll().as('n'))
          const counted = one
            .where('owner', '=', true)
            .where('revoke_time', 'is', null)
            .having(({ fn }) => fn.countAll(), '<=', 1)
          tx.guard(counted, new Fault('CONFLICT', 'seen by the guard'))
          tx.emit(event())
        })
      const settled = await Promise.allSettled([invite(), invite()])
      const open = await invitations()
      if (open > 1) both++
      if (open < 1) none++
      expect(tally(settled)).toEqual({ OK: 1, CONFLICT: 1 })
    }
    expect({ both, none }).toEqual({ both: 0, none: 0 })
  })
})

describe('rights that change between the flights', () => {
  // the pause before a handler runs anew is the shortest
  beforeAll(() => void vi.spyOn(Math, 'random').mockReturnValue(0))
  afterAll(() => void vi.restoreAllMocks())

  const act = (key: Awaited<ReturnType<typeof makeKey>>, between: () => Promise<unknown>) => {
    let runs = 0
    const done = inTenant(bench.db, bench.call({ tenantId, key }), async (tx) => {
      await tx.now
      if (++runs === 1) await between()
      tx.emit(event())
    })
    return { done, runs: () => runs }
  }

  it('revoked: 0 of 50 commit, and the caller learns that its credential is gone', async () => {
    const before = await counters()
    const refusals = []
    for (let nth = 0; nth < 50; nth++) {
      const key = await makeKey(bench.db.pool, ['*'])
      refusals.push(...(await Promise.allSettled([act(key, () => key.revoke()).done])))
    }
    expect(tally(refusals)).toEqual({ CREDENTIAL_INVALID: 50 })
    expect(await counters()).toEqual(before)
  })

  it("another's revoked: all 50 commit, each run anew once; undisturbed: all 50, at once", async () => {
    const [mine, other] = await Promise.all([makeKey(bench.db.pool, ['*']), makeKey(bench.db.pool, ['*'])])
    await other.revoke()
    const before = await counters()
    for (let nth = 0; nth < 50; nth++) {
      const run = act(mine, async () => {})
      await run.done
      expect(run.runs()).toBe(1)
    }
    for (let nth = 0; nth < 50; nth++) {
      const third = await makeKey(bench.db.pool, ['*'])
      const run = act(mine, () => third.revoke())
      await run.done
      expect(run.runs()).toBe(2)
    }
    expect(Number((await counters()).domain_sequence)).toBe(Number(before.domain_sequence) + 100)
  })

  it("the tenant's rights or sessions voided in between: it runs anew, and commits", async () => {
    for (const what of ['access', 'session'] as const) {
      const key = await makeKey(bench.db.pool, ['*'])
      const run = act(key, () => inTenant(bench.db, bench.call({ tenantId }), async (tx) => tx.invalidate(what)))
      await run.done
      expect(run.runs(), what).toBe(2)
    }
  })

  it("the platform's own work is stopped as well, and may void sessions without blocking itself", async () => {
    const key = await makeKey(bench.db.pool, ['*'])
    const work = inPlatform(bench.db, bench.call({ key }), async (tx) => {
      await tx.now
      await key.revoke()
      tx.audit('{}')
    })
    await expect(work).rejects.toMatchObject({ reason: 'CREDENTIAL_INVALID' })
    for (let nth = 0; nth < 3; nth++) await inPlatform(bench.db, bench.call(), async (tx) => tx.invalidate('session'))
    expect(await counters('platform')).toMatchObject({ session_epoch: '3', audit_seq: '0' })
  })
})

describe('what must not be written', () => {
  it('validate_only leaves no row, no number and no claim anywhere', async () => {
    const before = await fingerprint()
    await inTenant(bench.db, bench.call({ tenantId, validateOnly: true, requestId: randomUUID() }), async (tx) => {
      tx.later(tx.tenant.insertInto('invitations').values(invitationRow()), 1)
      tx.emit(event())
      tx.audit('{}')
      tx.invalidate('access')
    })
    expect(await fingerprint()).toEqual(before)
  })

  it('a read-only call cannot write: not by an awaited statement, and what it collects is refused at once', async () => {
    const before = await fingerprint()
    const reading = (fn: (tx: TenantTx) => Promise<unknown>) => inTenant(bench.db, bench.call({ tenantId, readOnly: true }), fn)
    const direct = reading((tx) => tx.tenant.insertInto('invitations').values(invitationRow()).execute())
    await expect(direct).rejects.toMatchObject({ code: '25006' })
    const ways: ((tx: TenantTx) => unknown)[] = [
      (tx) => tx.later(tx.tenant.deleteFrom('invitations')),
      (tx) => tx.emit(event()),
      (tx) => tx.audit('{}'),
      (tx) => tx.invalidate('access'),
      (tx) => tx.guard(ownersOpen(tx), new Fault('CONFLICT', '')),
    ]
    for (const way of ways) await expect(reading(async (tx) => way(tx))).rejects.toThrow(TypeError)
    expect(await fingerprint()).toEqual(before)
  })

  it('C-078 a flight that fails at any of its steps leaves nothing: writes, events, trail, record', async () => {
    const before = await fingerprint()
    const failing: ((tx: TenantTx) => unknown)[] = [
      (tx) => tx.later(tx.platform.updateTable('tenants').set({ plan: 'x' }).where('id', '=', 'nobody'), 1),
      (tx) => tx.later(tx.tenant.updateTable('invitations').set({ owner: false }).where('id', '=', 'nobody'), 1),
      (tx) => tx.emit({ ...event(), stream: 'no such stream' as 'domain' }),
      (tx) => tx.guard(tx.tenant.selectFrom('invitations').select('id').where('id', '=', 'nobody'), new Fault('CONFLICT', '')),
      (tx) => tx.audit('\u0000'),
    ]
    for (const fail of failing) {
      const work = inTenant(bench.db, bench.call({ tenantId, requestId: randomUUID() }), async (tx) => {
        tx.later(tx.platform.updateTable('tenants').set({ display_name: 'half' }).where('id', '=', tenantId), 1)
        tx.later(tx.tenant.insertInto('invitations').values(invitationRow()), 1)
        tx.emit(event())
        tx.audit('{}')
        tx.invalidate('access')
        fail(tx)
        return 1
      })
      await expect(work).rejects.toThrow()
    }
    expect(await fingerprint()).toEqual(before)
  })

  it('a value that cannot be serialised: nothing is sent', async () => {
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    const before = await fingerprint()
    const work = inTenant(bench.db, bench.call({ tenantId }), async (tx) => {
      tx.emit(event())
      tx.later(tx.tenant.insertInto('invitations').values({ ...invitationRow(), email: circular as never }), 1)
    })
    await expect(work).rejects.toThrow(TypeError)
    expect(await fingerprint()).toEqual(before)
  })

  async function fingerprint() {
    const schema = schemaName()
    const texts = [
      'platform.tenants',
      'platform.tenant_counters',
      'platform.events',
      'platform.idempotency_keys',
      'platform.platform_audit',
    ]
    const tenants = [`${schema}.tenant_state`, `${schema}.invitations`, `${schema}.audit_entries`, `${schema}.roles`]
    return Promise.all([...texts, ...tenants].map(async (table) => [table, await rowsOf(`select * from ${table} t order by t::text`)]))
  }
})

describe('one request_id', () => {
  it('C-076 50 callers of two replicas at once: one effect, one answer; another body is refused; after a fault it runs anew', async () => {
    const other = await openBench(database)
    const requestId = randomUUID()
    let runs = 0
    const before = Number((await counters()).domain_sequence)
    const act = ({ db }: Bench, body = 'a', fault?: Fault) =>
      inTenant(db, bench.call({ tenantId, requestId, body }), async (tx) => {
        const answer = { run: ++runs, at: (await tx.now).toISOString() }
        if (fault) throw fault
        tx.emit(event())
        return answer
      })
    try {
      const refused = await Promise.allSettled([act(bench, 'a', new Fault('SLUG_TAKEN', ''))])
      expect(tally(refused)).toEqual({ SLUG_TAKEN: 1 })
      const settled = await Promise.all(Array.from({ length: 50 }, (_, nth) => act(nth % 2 ? bench : other)))
      expect(new Set(settled.map((answer) => JSON.stringify(answer))).size).toBe(1)
      expect(Number((await counters()).domain_sequence)).toBe(before + 1)
      expect(tally(await Promise.allSettled([act(other, 'b')]))).toEqual({ REQUEST_ID_REUSED: 1 })
      expect(Number((await counters()).domain_sequence)).toBe(before + 1)
    } finally {
      await other.close()
    }
  })
})

it('reads that nobody awaits: the process lives, whatever becomes of them', async () => {
  const listeners = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  const strangers: unknown[] = []
  const seen: unknown[] = []
  process.on('unhandledRejection', (err) => (isAbsorbed(err) ? seen : strangers).push(err))
  try {
    for (let nth = 0; nth < 100; nth++) {
      const work = inTenant(bench.db, bench.call({ tenantId }), async (tx) => {
        void tx.tenant
          .selectFrom('no_such_table' as 'roles')
          .select('key')
          .execute()
        if (nth % 2) await tx.now
        setImmediate(() => void tx.tenant.selectFrom('roles').select('key').execute())
      })
      // sent in time, it fails its transaction; else it comes too late for it
      if (nth % 2) await expect(work).rejects.toMatchObject({ code: '42P01' })
      else await work
    }
    await new Promise((resolve) => setImmediate(resolve))
    expect(strangers).toEqual([])
    expect(seen.length).toBeGreaterThan(100)
  } finally {
    process.removeAllListeners('unhandledRejection')
    for (const listener of listeners) process.on('unhandledRejection', listener)
  }
})
