import { sql } from 'kysely'
import type { EventStream } from '../../contract/event-catalogue.js'
import type { PlatformTx } from '../../db/tx.js'

export interface DeliveryRow {
  readonly stream: EventStream
  /** Decimal. */
  readonly pending: string
  readonly oldest_pending_time: Date | null
  readonly last_sent_time: Date | null
}

/**
 * What is pending, by stream. Looks at each tenant's counters and positions, and finds the first pending event of those that have some by its key, in
 * every week of the archive: on two busy cores 0.2 s at 10,000 tenants and 1.2 s where each of them has pending events in two streams.
 */
export async function readDelivery(tx: PlatformTx): Promise<DeliveryRow[]> {
  const query = sql<DeliveryRow>`
    select s.stream, coalesce(sum(greatest(s.last - coalesce(p.sent, 0), 0)), 0)::text as pending, min(e.time) as oldest_pending_time,
      max(p.sent_time) as last_sent_time
    from platform.tenant_counters c
    cross join lateral (values ('domain', c.domain_sequence), ('security', c.security_sequence), ('platform', c.platform_sequence)) s(stream, last)
    left join platform.relay_positions p on p.tenant_id = c.tenant_id and p.stream = s.stream
    left join lateral (
      select f.time from platform.events f where s.last > coalesce(p.sent, 0) and f.tenant_id = c.tenant_id and f.stream = s.stream
        and f.sequence > coalesce(p.sent, 0) order by f.sequence limit 1
    ) e on true
    group by s.stream`
  return await tx.read(query.compile(tx.platform))
}

export interface HolderRow {
  readonly holder: string
  /** null: it has run out, or was released. */
  readonly expire_time: Date | null
}

/** Who holds the relay's lease, or held it last. */
export async function readRelayHolder(tx: PlatformTx): Promise<HolderRow | undefined> {
  const query = sql<HolderRow>`
    select holder, case when expire_time > now() then expire_time end as expire_time from platform.leases where name = 'relay'`
  const [row] = await tx.read(query.compile(tx.platform))
  return row
}
