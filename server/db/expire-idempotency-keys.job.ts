import type pg from 'pg'
import type { Job } from '../jobs/job.js'
import { flight } from './flight.js'
import { statement } from './statement.js'

const batchMax = 1_000
const goodForHours = 24
const sealedForMinutes = 10

/**
 * Deletes idempotency records that are older than a day, in batches of 1,000, and sealed answers that are older than 10 minutes.
 * @param pool the retention login's
 * @param clockShiftMs moves the clock, for tests
 */
export function expireIdempotencyKeys({ pool, clockShiftMs = () => 0 }: { pool: pg.Pool; clockShiftMs?: () => number }): Job {
  return {
    name: 'expire-idempotency-keys',
    everyMs: 60_000,
    lease: 'one',
    async run({ signal }) {
      for (let deleted = batchMax; deleted === batchMax && !signal.aborted; ) {
        const [result] = await flight(pool, 'platform_retention', [deleteExpired(clockShiftMs())])
        deleted = result!.rowCount ?? 0
      }
      await flight(pool, 'platform_retention', [deleteSealed(clockShiftMs())])
    },
  }
}

const deleteExpired = (shiftMs: number) =>
  statement(
    `delete from platform.idempotency_keys k using (
       select caller, method, request_id from platform.idempotency_keys
       where create_time < now() + $1::double precision * interval '1 millisecond' - $2::integer * interval '1 hour'
       order by create_time limit $3::integer
     ) old where k.caller = old.caller and k.method = old.method and k.request_id = old.request_id`,
    [shiftMs, goodForHours, batchMax],
  )

/** Few: only RPCs that make a secret leave one. */
const deleteSealed = (shiftMs: number) =>
  statement(
    `delete from platform.sealed_answers
       where create_time < now() + $1::double precision * interval '1 millisecond' - $2::integer * interval '1 minute'`,
    [shiftMs, sealedForMinutes],
  )
