import type { TenantSettings, UpdateTenantSettingsRequest } from '../../../gen/customer/tenant/v1/tenant_settings.js'
import { daysInForce, type Settings, type SettingsPatch } from './settings.rules.js'
import { etagOf } from './tenants.rules.js'

export const settingsToWire = (settings: Settings): TenantSettings => ({
  password: { minLength: settings.password_min_length },
  session: { idleSeconds: settings.session_idle_seconds, absoluteSeconds: settings.session_absolute_seconds },
  mfa: { required: settings.mfa_required },
  retention: {
    auditDays: settings.retention_audit_days,
    auditDaysInForce: daysInForce(settings),
    effectiveTime: settings.retention_effective_time ?? undefined,
  },
  etag: etagOf({ row_version: settings.settings_version }),
  updateTime: settings.settings_update_time ?? undefined,
})

export const patchOf = ({ password, session, mfa, retention }: UpdateTenantSettingsRequest): SettingsPatch => ({
  password_min_length: password?.minLength,
  session_idle_seconds: session?.idleSeconds,
  session_absolute_seconds: session?.absoluteSeconds,
  mfa_required: mfa?.required,
  retention_audit_days: retention?.auditDays,
})
