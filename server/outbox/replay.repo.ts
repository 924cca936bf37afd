import { type Statement, statement } from '../db/statement.js'
import type { Lease } from '../jobs/job.js'
import { attributesBytesMax, type EventRow, payloadBytesMax } from './envelope.js'
import { held } from './relay.repo.js'

/** An event that is to be sent once more. */
export interface AgainRow extends EventRow {
  readonly replay_id: string
  /** It is beyond the batch's bytes, and its payload was not read. */
  readonly over: boolean
}

/** The next events of a replay, or the replay alone where the archive has none of them any more. Sequences are decimals. */
export type ReplayRow = {
  readonly replay_id: string
  readonly of_tenant_id: string
  readonly position: string
  readonly until_sequence: string
} & (AgainRow | { readonly sequence: null })

const time = `to_char(e.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time`
const upto = (order: string) =>
  `sum(case when octet_length(e.payload) <= ${payloadBytesMax} then octet_length(e.payload) else 0 end + ${attributesBytesMax}) over (order by ${order})`
const payload = (bytesMax: string) =>
  `e.upto > ${bytesMax} as over, case when octet_length(e.payload) <= ${payloadBytesMax} and e.upto <= ${bytesMax} then e.payload end as payload`

/** The next batch of the replay that has waited longest; no row where none runs. */
export const readReplay = (rows: number, bytesMax: number): Statement =>
  statement(
    `select r.id as replay_id, r.tenant_id as of_tenant_id, r.position, r.until_sequence, e.tenant_id, e.stream, e.sequence, ${time}, e.id, e.type, e.subject,
       e.traceparent, e.correlation_id, e.causation_id, ${payload('$2::bigint')}
     from (select * from platform.replays where end_time is null order by update_time, id limit 1) r
     left join lateral (
       select e.*, ${upto('e.sequence')} as upto from (
         select * from platform.events v where v.tenant_id = r.tenant_id and v.stream = 'domain' and v.sequence > r.position
           and v.sequence <= r.until_sequence order by v.sequence limit $1::integer
       ) e
     ) e on true order by e.sequence`,
    [rows, bytesMax],
  )

export interface ReplayProgress {
  readonly id: string
  /** The broker has all up to this one. */
  readonly position: bigint
  readonly state: 'RUNNING' | 'DONE' | 'FAILED'
}

/** Moves a replay on, never back, while the lease is ours; returns a row. */
export const advanceReplay = ({ name, holder, epoch }: Lease, { id, position, state }: ReplayProgress): Statement =>
  statement(
    `update platform.replays r set position = greatest(r.position, $5::bigint), state = $6, update_time = now(),
       end_time = case when $6 in ('DONE', 'FAILED') then now() end
     where r.id = $4 and r.end_time is null and exists (select from ${held}) returning r.id`,
    [name, holder, epoch, id, String(position), state],
  )

/** The next letters that are to be sent once more, by tenant, stream and sequence. */
export const readRedrives = (rows: number, bytesMax: number): Statement =>
  statement(
    `select e.tenant_id, e.stream, e.sequence, ${time}, e.event_id as id, e.type, e.subject, e.traceparent, e.correlation_id, e.causation_id,
       e.replay_id, ${payload('$2::bigint')}
     from (
       select e.*, q.replay_id, ${upto('q.tenant_id, q.stream, q.sequence')} as upto
       from (select * from platform.redrives order by tenant_id, stream, sequence limit $1::integer) q
       join platform.dead_letters e on e.tenant_id = q.tenant_id and e.stream = q.stream and e.sequence = q.sequence
     ) e order by e.tenant_id, e.stream, e.sequence`,
    [rows, bytesMax],
  )

/** Takes letters off the queue, and notes when those of them left that were sent; while the lease is ours. Returns how many it took off. */
export const settleRedrives = ({ name, holder, epoch }: Lease, letters: readonly { row: AgainRow; sent: boolean }[]): Statement =>
  statement(
    `with gone as (
       delete from platform.redrives q
       using unnest($4::text[], $5::text[], $6::bigint[], $7::text[], $8::boolean[]) d(tenant_id, stream, sequence, replay_id, sent)
       where q.tenant_id = d.tenant_id and q.stream = d.stream and q.sequence = d.sequence and q.replay_id = d.replay_id
         and exists (select from ${held})
       returning d.tenant_id, d.stream, d.sequence, d.sent
     ), noted as (
       update platform.dead_letters l set redrive_time = now() from gone g
       where g.sent and l.tenant_id = g.tenant_id and l.stream = g.stream and l.sequence = g.sequence
     ) select count(*)::integer as count from gone`,
    [
      ...[name, holder, epoch],
      letters.map(({ row }) => row.tenant_id),
      letters.map(({ row }) => row.stream),
      letters.map(({ row }) => row.sequence),
      letters.map(({ row }) => row.replay_id),
      letters.map(({ sent }) => sent),
    ],
  )
