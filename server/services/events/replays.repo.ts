import { sql } from 'kysely'
import type { PlatformTx } from '../../db/tx.js'
import { Fault } from '../../rpc/fault.js'
import type { Archive } from './replays.rules.js'
import type { ReplayRow } from './replays.table.js'

/** The bounds of the call's tenant's domain events. */
export async function readArchive(tx: PlatformTx): Promise<Archive> {
  const query = sql<Archive>`
    select c.domain_sequence as last_sequence, coalesce(
      (select o.sequence from platform.events o where o.tenant_id = c.tenant_id and o.stream = 'domain' order by o.sequence limit 1),
      c.domain_sequence + 1) as oldest_sequence
    from platform.tenant_counters c where c.tenant_id = ${tx.tenantId}`
  const [row] = await tx.read(query.compile(tx.platform))
  if (!row) throw new Fault('TENANT_NOT_FOUND', 'there is no such tenant')
  return row
}

/** Whoever comes second to a tenant waits here for the first, and is refused. */
export function insertReplay(tx: PlatformTx, row: ReplayRow): void {
  tx.later(
    tx.platform
      .insertInto('replays')
      .values(row)
      .onConflict((conflict) => conflict.column('tenant_id').where('end_time', 'is', null).doNothing()),
    1,
    new Fault('REPLAY_RUNNING', 'a replay of this tenant is under way'),
  )
}

const columns = [
  'id',
  'tenant_id',
  'after_sequence',
  'until_sequence',
  'position',
  'state',
  'create_time',
  'update_time',
  'end_time',
] as const

/** The latest first. */
export const listReplays = (tx: PlatformTx, limit: number): Promise<ReplayRow[]> =>
  tx.platform.selectFrom('replays').select(columns).orderBy('create_time', 'desc').orderBy('id', 'desc').limit(limit).execute()
