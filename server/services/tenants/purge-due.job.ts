import { randomUUID } from 'node:crypto'
import type { DbCall } from '../../db/call.js'
import type { Database } from '../../db/database.js'
import { flight } from '../../db/flight.js'
import type { Pool } from '../../db/pool.js'
import type { Statement } from '../../db/statement.js'
import type { Job } from '../../jobs/job.js'
import { Fault } from '../../rpc/fault.js'
import type { Log } from '../../telemetry/log.js'
import { counter } from '../../telemetry/metrics.js'
import { finishPurge, purge } from './purge.record.js'
import { findDue, findUnfinished } from './purges.repo.js'
import { checkDue } from './tenants.rules.js'

const pageMax = 100
const eachMs = 30_000

/**
 * Purges the tenants whose purge_time has come, but those on hold, and finishes purges that a crash cut in two. One at a time: a schema takes a lock for
 * each of its relations. What cannot be had now, it tries again with the next run, and goes on with the next tenant.
 * @param pool the retention login's, which looks for them
 */
export function purgeDue({ db, pool, log }: { db: Database; pool: Pool; log: Log }): Job {
  const idsOf = async (query: Statement): Promise<string[]> => {
    const [found] = await flight(pool, 'platform_retention', [query], { readOnly: true })
    return (found!.rows as { id: string }[]).map(({ id }) => id)
  }
  return {
    name: 'purge-due',
    everyMs: 60_000,
    lease: 'one',
    async run({ signal }) {
      let failure: unknown
      const each = async (ids: readonly string[], work: (call: DbCall) => Promise<unknown>) => {
        for (const tenantId of ids) {
          if (signal.aborted) return
          try {
            await work(systemCall(tenantId, AbortSignal.any([signal, AbortSignal.timeout(eachMs)])))
            log.info({ tenant: tenantId }, 'purged')
          } catch (err) {
            counter('tenants.purge.waits').add()
            log.warn({ tenant: tenantId, err }, 'a purge waits')
            if (!(err instanceof Fault)) failure ??= err
          }
        }
      }
      await each(await idsOf(findUnfinished()), (call) => finishPurge(db, call))
      for (let after = ''; ; ) {
        const ids = await idsOf(findDue(`${db.clockShiftMs()} milliseconds`, after, pageMax))
        await each(ids, async (call) => {
          await purge(db, call, checkDue)
          await finishPurge(db, call)
        })
        if (ids.length < pageMax || signal.aborted) break
        after = ids.at(-1) ?? after
      }
      if (failure !== undefined) throw failure
    },
  }
}

/** Of nobody: what the service does by itself. */
const systemCall = (tenantId: string, signal: AbortSignal): DbCall => ({
  method: 'purge-due',
  auditAction: 'tenant.purge',
  principal: { id: '', type: 'system', keyId: '' },
  tenantId,
  deadline: performance.now() + eachMs,
  signal,
  requestId: randomUUID(),
  traceparent: '',
  claim: undefined,
  validateOnly: false,
  judge() {},
})
