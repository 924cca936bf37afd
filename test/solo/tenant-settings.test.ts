import { afterAll, beforeAll, expect, it } from 'vitest'
import { inTenant } from '../../server/db/in-tenant.js'
import { onboard } from '../support/rpc.js'
import { type Solo, startSolo } from '../support/solo.js'
import { type Bench, openBench } from '../support/transactions.js'

let solo: Solo
let bench: Bench
beforeAll(async () => {
  solo = await startSolo()
  bench = await openBench(solo.database)
})
afterAll(async () => {
  await bench?.close()
  await solo?.stop()
})

/** A revision that moves under a call runs it anew three times; beside so many that move it, now and then that is not enough. */
const persistently = async (work: () => Promise<unknown>): Promise<void> => {
  await work().catch((err: { reason?: string }) => {
    if (err.reason !== 'CONFLICT') throw err
    return persistently(work)
  })
}

it('settings and revisions, which stand in one row of the tenant, are written at once without a deadlock', async () => {
  const { id: tenantId } = await onboard(solo.clients)
  const raise = () => inTenant(bench.db, bench.call({ tenantId }), async (tx) => tx.invalidate('access'))
  const set = (nth: number) => solo.clients.tenants.updateTenantSettings({ tenantId, session: { idleSeconds: 1_000 + nth } })
  await Promise.all(Array.from({ length: 60 }, (_, nth) => persistently(() => (nth % 2 === 0 ? raise() : set(nth)))))
  const { rows } = await solo.superuser.query(
    `select deadlocks::int, (select access_revision::int from platform.tenant_counters where tenant_id = $1) as revision
     from pg_stat_database where datname = current_database()`,
    [tenantId],
  )
  expect(rows).toEqual([{ deadlocks: 0, revision: 30 }])
  expect((await solo.clients.tenants.getTenantSettings({ tenantId })).etag).toBe('31')
})

it('what was set for the trail comes into force by the database’s clock, 30 days later', async () => {
  let shiftMs = 0
  const later = await startSolo({ beside: solo, deps: { clockShiftMs: () => shiftMs } })
  try {
    const { id: tenantId } = await onboard(solo.clients)
    const set = (auditDays: number) => later.clients.tenants.updateTenantSettings({ tenantId, retention: { auditDays } })
    await set(800)
    const { retention } = await set(400)
    const seen = async () => (await later.clients.tenants.getTenantSettings({ tenantId })).retention
    shiftMs = 29 * 86_400_000
    expect(await seen()).toEqual(retention)
    shiftMs = 30 * 86_400_000 + 60_000
    expect(await seen()).toEqual({ auditDays: 400, auditDaysInForce: 400, effectiveTime: undefined })
  } finally {
    await later.stop()
  }
})
