import type pg from 'pg'
import type { Job } from '../jobs/job.js'
import type { Log } from '../telemetry/log.js'
import { counter, setGauge } from '../telemetry/metrics.js'
import { flight } from './flight.js'
import { statement } from './statement.js'

const samplesMax = 1_000

/**
 * Tells how long the oldest snapshot or transaction, whosever it is, has kept dead rows from being cleaned away: with one open for half a minute a
 * tenant's counter took 2,600 updates a second instead of 20,000.
 * Ids of transactions bear no time, so each run notes which one came next: what is older than the id of a minute ago has been held for a minute.
 */
export function oldestXmin({
  pool,
  log,
  alarmAfterMs = 60_000,
  nowMs = () => performance.now(),
}: {
  pool: pg.Pool
  log: Log
  alarmAfterMs?: number
  nowMs?: () => number
}): Job {
  const samples: { readonly at: number; readonly next: bigint }[] = []
  let alarmed = false
  return {
    name: 'oldest-xmin',
    everyMs: 10_000,
    lease: 'one',
    async run() {
      const [result] = await flight(pool, 'platform_retention', [readOldest()], { readOnly: true })
      const { next, behind, holder } = result!.rows[0] as { next: string; behind: number; holder: string | null }
      const at = nowMs()
      samples.push({ at, next: BigInt(next) })
      const xmin = BigInt(next) - BigInt(behind)
      while (samples[0] && samples[0].next <= xmin) samples.shift()
      if (samples.length > samplesMax) samples.splice(1, 1)
      const heldMs = samples[0] ? at - samples[0].at : 0
      const seconds = Math.round(heldMs / 1_000)
      setGauge('db.xmin.seconds', seconds)
      const over = heldMs >= alarmAfterMs
      if (over) counter('db.xmin.alarm').add()
      if (over && !alarmed) log.error({ seconds, transactions: behind, holder }, 'ALARM: an old snapshot keeps dead rows: writes slow down')
      if (!over && alarmed) log.info({ seconds }, 'the old snapshot is gone')
      alarmed = over
    },
  }
}

/** VACUUM's own snapshots hold nothing back (it is nobody's session), and those of other databases nothing of ours. Any login may see these columns. */
const readOldest = () =>
  statement(
    `select pg_snapshot_xmax(pg_current_snapshot())::text as next, coalesce(h.behind, 0) as behind, h.holder from (select 1) one left join (
       select greatest(age(backend_xmin), age(backend_xid)) as behind, concat_ws(' ', 'session', pid, usename, application_name) as holder
       from pg_stat_activity where (datid is null or datname = current_database()) and pid <> pg_backend_pid() and usesysid is not null
       union all select age(transaction), 'prepared transaction ' || gid from pg_prepared_xacts where database = current_database()
       union all select age(xmin), 'replication slot ' || slot_name from pg_replication_slots
       order by 1 desc nulls last limit 1
     ) h on true`,
  )
