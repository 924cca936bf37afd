import { TenantSettingsUpdated } from '../../../gen/customer/tenant/v1/tenant_events.js'
import type { Actor } from '../../../gen/customer/type/v1/actor.js'
import type { PayloadEvent } from '../../outbox/append.js'
import { daysInForce, type Settings } from './settings.rules.js'

/** @param changedFields proto names: `password.min_length` */
export const tenantSettingsUpdated = (
  tenantId: string,
  settings: Settings,
  { type, id }: Actor,
  changedFields: readonly string[],
): PayloadEvent<TenantSettingsUpdated> => ({
  message: TenantSettingsUpdated,
  value: {
    tenantId,
    passwordMinLength: settings.password_min_length,
    sessionIdleSeconds: settings.session_idle_seconds,
    sessionAbsoluteSeconds: settings.session_absolute_seconds,
    mfaRequired: settings.mfa_required,
    retentionAuditDays: settings.retention_audit_days,
    retentionAuditDaysInForce: daysInForce(settings),
    retentionEffectiveTime: settings.retention_effective_time ?? undefined,
    changedFields: [...changedFields],
    actor: { type, id },
  },
})
