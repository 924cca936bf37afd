import { sqlStateOf } from '../../db/failures.js'
import type { TenantTx } from '../../db/tx.js'
import { Fault } from '../../rpc/fault.js'
import type { StoredSettings } from './settings.table.js'

const columns = [
  'password_min_length',
  'session_idle_seconds',
  'session_absolute_seconds',
  'mfa_required',
  'retention_audit_days',
  'retention_audit_days_before',
  'retention_effective_time',
  'settings_version',
  'settings_update_time',
] as const

const select = ({ tenant }: TenantTx) => tenant.selectFrom('tenant_state').select(columns)

/** The settings as they are stored; the last read of a read-only call. */
export async function lastReadSettings(tx: TenantTx): Promise<StoredSettings> {
  const [row] = await tx.last(select(tx)).catch(behind)
  return row as StoredSettings
}

/** The same for whoever writes them: behind `lockTenant`, nobody else does. */
export const readSettings = (tx: TenantTx): Promise<StoredSettings> => select(tx).executeTakeFirstOrThrow().catch(behind)

export function updateSettings(tx: TenantTx, row: StoredSettings): void {
  tx.behindCounter(tx.tenant.updateTable('tenant_state').set(row), 1)
}

/** Code may be one version ahead of a tenant's schema, whose columns are then not there yet. */
function behind(err: unknown): never {
  if (sqlStateOf(err) !== '42703') throw err
  const message = "the tenant's schema is being brought to this version; try again"
  throw new Fault('DEPENDENCY_DOWN', message, {}, { retryAfterMs: 1000, cause: err })
}
