import { sql } from 'kysely'
import type { PlatformTx } from '../../db/tx.js'
import { attributesBytesMax, payloadBytesMax } from '../../outbox/envelope.js'
import { type EventsFilter, type EventsRow, pageBytesMax, windowMax } from './events.rules.js'

/**
 * The call's tenant's domain events behind a cursor, by sequence, with the bounds of the archive in the same snapshot: one row with no event where
 * there is none. Looks at `windowMax` sequences at most, whatever the filter finds. The last read of a read-only call.
 */
export async function readEvents(tx: PlatformTx, { after, type, limit }: EventsFilter): Promise<EventsRow[]> {
  const query = sql<EventsRow>`
    select b.last_sequence, b.oldest_sequence, e.tenant_id, e.stream, e.sequence, e.id, e.type, e.subject, e.traceparent, e.correlation_id,
      e.causation_id, to_char(e.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time, e.over,
      case when e.bytes <= ${payloadBytesMax}::integer and not e.over then e.payload end as payload
    from (
      select c.tenant_id, c.domain_sequence as last_sequence, coalesce(
        (select o.sequence from platform.events o where o.tenant_id = c.tenant_id and o.stream = 'domain' order by o.sequence limit 1),
        c.domain_sequence + 1) as oldest_sequence
      from platform.tenant_counters c where c.tenant_id = ${tx.tenantId}
    ) b left join lateral (
      select f.*, octet_length(f.payload) as bytes, row_number() over up > 1 and
        sum(case when octet_length(f.payload) <= ${payloadBytesMax}::integer then octet_length(f.payload) else 0 end + ${attributesBytesMax}::integer)
          over up > ${pageBytesMax}::bigint as over
      from (
        select * from platform.events d where d.tenant_id = b.tenant_id and d.stream = 'domain'
          and d.sequence > coalesce(${after}::bigint, b.oldest_sequence - 1)
          and d.sequence <= coalesce(${after}::bigint, b.oldest_sequence - 1) + ${windowMax}::integer
          and (${type}::text = '' or d.type = ${type}::text)
        order by d.sequence limit ${limit}::integer
      ) f window up as (order by f.sequence)
    ) e on true
    order by e.sequence`
  return await tx.last<EventsRow>(query.compile(tx.platform))
}
