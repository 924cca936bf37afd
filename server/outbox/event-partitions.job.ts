import { flight } from '../db/flight.js'
import type { Pool } from '../db/pool.js'
import type { Job } from '../jobs/job.js'
import type { Log } from '../telemetry/log.js'
import { counter } from '../telemetry/metrics.js'
import { countWeeksAhead, dropWeeks, makeWeeks } from './event-partitions.repo.js'

/** Made ahead; below two left, the alarm: without a partition for now every mutation fails. */
const weeksAhead = 4
const alarmBelow = 2

/**
 * Makes the archive's weeks ahead and drops the old ones whole. Making comes first and counts: a drop that waits too long for its lock is tried again
 * with the next run.
 * @param pool the retention login's
 */
export function eventPartitions({ pool, log, keepDays = 30 }: { pool: Pool; log: Log; keepDays?: number }): Job {
  return {
    name: 'event-partitions',
    everyMs: 600_000,
    lease: 'one',
    async run() {
      const role = 'platform_retention'
      const made = await flight(pool, role, [makeWeeks(weeksAhead)]).then(
        () => undefined,
        (err: unknown) => err ?? new Error('unknown'),
      )
      const [left] = await flight(pool, role, [countWeeksAhead()], { readOnly: true })
      const { ahead } = left!.rows[0] as { ahead: number }
      if (ahead < alarmBelow) {
        counter('outbox.partitions.alarm').add()
        log.error({ ahead, err: made }, 'ALARM: fewer than two weeks of event partitions are left; without one every mutation fails')
      }
      if (made !== undefined) throw made
      const [done] = await flight(pool, role, [dropWeeks(keepDays)])
      const { dropped, kept } = done!.rows[0] as { dropped: number; kept: number }
      log.info({ ahead, dropped, kept }, 'event partitions')
      if (kept > 0) {
        counter('outbox.partitions.unsent').add()
        log.error({ kept, keep_days: keepDays }, 'ALARM: weeks of events are older than they need be kept, and have not been sent')
      }
    },
  }
}
