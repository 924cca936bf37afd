import { type Statement, statement } from '../db/statement.js'
import type { Lease } from '../jobs/job.js'
import { attributesBytesMax, type EventRow, type ParkReason, payloadBytesMax } from './envelope.js'

/** An event behind its stream's position. */
export interface PendingRow extends EventRow {
  /** The position, and the stream's last sequence; decimal. */
  readonly sent: string
  readonly last: string
  /** It is beyond the batch's bytes, and its payload was not read. */
  readonly over: boolean
}

/** All of a stream up to this sequence has been acknowledged by the broker. */
export interface Sent {
  readonly tenantId: string
  readonly stream: EventRow['stream']
  readonly sequence: bigint
}

export interface Parked {
  readonly row: EventRow
  readonly reason: ParkReason
  /** What the broker said; '' where it was not asked. */
  readonly detail: string
}

const streamsOf = `(values ('domain', c.domain_sequence), ('security', c.security_sequence), ('platform', c.platform_sequence)) s(stream, last)`

/** Who has events that were not sent: the full poll. */
export const findPending = (streams: readonly string[]): Statement =>
  statement(
    `select distinct c.tenant_id from platform.tenant_counters c cross join lateral ${streamsOf}
     left join platform.relay_positions p on p.tenant_id = c.tenant_id and p.stream = s.stream
     where s.stream = any ($1::text[]) and s.last > 0 and s.last > coalesce(p.sent, 0)`,
    [streams],
  )

/**
 * The next events of these tenants, by tenant as named, stream and sequence: `perTenant` rows of each stream at most, and of payloads, with what
 * their attributes take, `bytesMax` in all. One statement, hence one snapshot: it sees a sequence and all before it.
 * @param ahead what is being sent: read on behind it
 */
export const readPending = (
  streams: readonly string[],
  tenantIds: readonly string[],
  perTenant: number,
  bytesMax: number,
  ahead: readonly Sent[],
): Statement =>
  statement(
    `select b.tenant_id, b.stream, b.sent, b.last, b.sequence, to_char(b.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time, b.id, b.type,
       b.subject, b.traceparent, b.correlation_id, b.causation_id, b.upto > $4::bigint as over,
       case when b.bytes <= ${payloadBytesMax} and b.upto <= $4::bigint then b.payload end as payload
     from (
       select q.nth, q.tenant_id, q.stream, q.sent, q.last, e.sequence, e.time, e.id, e.type, e.subject, e.payload, e.traceparent, e.correlation_id,
         e.causation_id, octet_length(e.payload) as bytes,
         sum(case when octet_length(e.payload) <= ${payloadBytesMax} then octet_length(e.payload) else 0 end + ${attributesBytesMax})
           over (order by q.nth, q.stream, e.sequence) as upto
       from (
         select n.nth, c.tenant_id, s.stream, s.last, greatest(p.sent, a.sequence, 0) as sent
         from unnest($2::text[]) with ordinality n(tenant_id, nth) join platform.tenant_counters c on c.tenant_id = n.tenant_id
         cross join lateral ${streamsOf}
         left join platform.relay_positions p on p.tenant_id = c.tenant_id and p.stream = s.stream
         left join unnest($5::text[], $6::text[], $7::bigint[]) a(tenant_id, stream, sequence) on a.tenant_id = c.tenant_id and a.stream = s.stream
         where s.stream = any ($1::text[]) and s.last > greatest(p.sent, a.sequence, 0)
       ) q cross join lateral (
         select * from platform.events e where e.tenant_id = q.tenant_id and e.stream = q.stream and e.sequence > q.sent
         order by e.sequence limit $3::integer
       ) e
     ) b order by b.nth, b.stream, b.sequence`,
    [
      streams,
      tenantIds,
      perTenant,
      bytesMax,
      ahead.map((it) => it.tenantId),
      ahead.map((it) => it.stream),
      ahead.map((it) => String(it.sequence)),
    ],
  )

/** While the lease is ours: its name, holder and epoch are the first three parameters. */
export const held = `platform.leases l where l.name = $1 and l.holder = $2 and l.epoch = $3::bigint`
const of = ({ name, holder, epoch }: Lease) => [name, holder, epoch]

/** Moves positions on, never back, while the lease is ours; returns a row for each. */
export const advance = (lease: Lease, sent: readonly Sent[]): Statement =>
  statement(
    `insert into platform.relay_positions as p (tenant_id, stream, sent)
     select a.tenant_id, a.stream, a.sent from unnest($4::text[], $5::text[], $6::bigint[]) a(tenant_id, stream, sent)
     where exists (select from ${held}) order by a.tenant_id, a.stream
     on conflict (tenant_id, stream) do update set sent = greatest(p.sent, excluded.sent) returning tenant_id`,
    [...of(lease), sent.map((it) => it.tenantId), sent.map((it) => it.stream), sent.map((it) => String(it.sequence))],
  )

/** Keeps what could not be sent, whole, in the transaction that moves the position past it. */
export const park = (lease: Lease, parked: readonly Parked[]): Statement =>
  statement(
    `insert into platform.dead_letters (tenant_id, stream, sequence, event_id, type, reason, detail, time, subject, payload, traceparent,
       correlation_id, causation_id)
     select e.tenant_id, e.stream, e.sequence, e.id, e.type, d.reason, d.detail, e.time, e.subject, e.payload, e.traceparent, e.correlation_id,
       e.causation_id
     from unnest($4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[]) d(tenant_id, stream, sequence, reason, detail)
     join platform.events e on e.tenant_id = d.tenant_id and e.stream = d.stream and e.sequence = d.sequence
     where exists (select from ${held})
     on conflict (tenant_id, stream, sequence) do nothing`,
    [
      ...of(lease),
      parked.map(({ row }) => row.tenant_id),
      parked.map(({ row }) => row.stream),
      parked.map(({ row }) => row.sequence),
      parked.map(({ reason }) => reason),
      parked.map(({ detail }) => detail),
    ],
  )
