import { sql } from 'kysely'
import type { PlatformTx } from '../../db/tx.js'
import type { DeadLetterState, Place } from './dead-letters.rules.js'
import type { DeadLettersTable } from './dead-letters.table.js'

export type DeadLetterRow = Omit<DeadLettersTable, 'payload' | 'subject' | 'traceparent' | 'correlation_id' | 'causation_id'> & {
  readonly payload_bytes: number
  readonly state: DeadLetterState
}

export interface DeadLetterFilter {
  /** '' for all. */
  readonly tenantId: string
  readonly state: DeadLetterState | undefined
}

const state = sql<DeadLetterState>`case when q.tenant_id is not null then 'REDRIVING' when d.redrive_time is not null then 'REDRIVEN' else 'PARKED' end`

/** One row more than `limit` tells whether there is a next page. */
export async function listDeadLetters(
  tx: PlatformTx,
  filter: DeadLetterFilter,
  after: Place | undefined,
  limit: number,
): Promise<DeadLetterRow[]> {
  let query = tx.platform
    .selectFrom('dead_letters as d')
    .leftJoin('redrives as q', (join) =>
      join.onRef('q.tenant_id', '=', 'd.tenant_id').onRef('q.stream', '=', 'd.stream').onRef('q.sequence', '=', 'd.sequence'),
    )
    .select([
      'd.tenant_id',
      'd.stream',
      'd.sequence',
      'd.event_id',
      'd.type',
      'd.reason',
      'd.detail',
      'd.time',
      'd.create_time',
      'd.redrive_time',
    ])
    .select([sql<number>`octet_length(d.payload)`.as('payload_bytes'), state.as('state')])
  if (filter.tenantId !== '') query = query.where('d.tenant_id', '=', filter.tenantId)
  if (filter.state) query = query.where(state, '=', filter.state)
  if (after) {
    query = query.where(
      sql<boolean>`(d.tenant_id, d.stream, d.sequence) > (${after.tenant_id}, ${after.stream}, ${after.sequence}::bigint)`,
    )
  }
  return await tx.last(
    query
      .orderBy('d.tenant_id')
      .orderBy('d.stream')
      .orderBy('d.sequence')
      .limit(limit + 1),
  )
}

export type FoundLetter = Place & {
  /** It is to be sent once more already. */
  readonly queued: boolean
}

const queued = sql`exists (select from platform.redrives q where q.tenant_id = d.tenant_id and q.stream = d.stream and q.sequence = d.sequence)`

/** Those of these letters that there are. */
export async function findDeadLetters(tx: PlatformTx, places: readonly Place[]): Promise<FoundLetter[]> {
  const query = sql<FoundLetter>`
    select d.tenant_id, d.stream, d.sequence, ${queued} as queued
    from unnest(${places.map((it) => it.tenant_id)}::text[], ${places.map((it) => it.stream)}::text[], ${places.map((it) => it.sequence)}::bigint[])
      a(tenant_id, stream, sequence)
    join platform.dead_letters d on d.tenant_id = a.tenant_id and d.stream = a.stream and d.sequence = a.sequence`
  return await tx.read(query.compile(tx.platform))
}

/** A tenant's letters that were never sent once more and are not about to be, the lowest numbers first. */
export async function findParked(tx: PlatformTx, tenantId: string, limit: number): Promise<FoundLetter[]> {
  const query = sql<FoundLetter>`
    select d.tenant_id, d.stream, d.sequence, false as queued from platform.dead_letters d
    where d.tenant_id = ${tenantId} and d.redrive_time is null and not ${queued} order by d.stream, d.sequence limit ${limit}::integer`
  return await tx.read(query.compile(tx.platform))
}

/** One that another call has queued meanwhile keeps that call's replay_id. */
export function insertRedrives(tx: PlatformTx, places: readonly Place[], replayId: string): void {
  const query = sql`
    insert into platform.redrives (tenant_id, stream, sequence, replay_id)
    select a.tenant_id, a.stream, a.sequence, ${replayId}::text
    from unnest(${places.map((it) => it.tenant_id)}::text[], ${places.map((it) => it.stream)}::text[], ${places.map((it) => it.sequence)}::bigint[])
      a(tenant_id, stream, sequence)
    order by a.tenant_id, a.stream, a.sequence on conflict (tenant_id, stream, sequence) do nothing`
  tx.later(query.compile(tx.platform))
}
