import { Fault, type Violation } from '../../rpc/fault.js'
import type { StoredSettings } from './settings.table.js'
import { type Change, checkEtag } from './tenants.rules.js'

/** A tenant's settings as they hold: the platform's defaults in the place of what was never set. */
export interface Settings {
  readonly password_min_length: number
  readonly session_idle_seconds: number
  readonly session_absolute_seconds: number
  readonly mfa_required: boolean
  readonly retention_audit_days: number
  /** In force until `retention_effective_time`; null: `retention_audit_days` is. */
  readonly retention_audit_days_before: number | null
  readonly retention_effective_time: Date | null
  readonly settings_version: string
  readonly settings_update_time: Date | null
}

/** Shorter passwords go with a second factor alone. */
const passwordFloor = 15
/** From the wish to keep the trail for a shorter time to its effect. */
const shorteningMs = 30 * 86_400_000

export function settled(stored: StoredSettings, now: Date): Settings {
  const pending = stored.retention_effective_time !== null && stored.retention_effective_time > now
  return {
    password_min_length: stored.password_min_length ?? passwordFloor,
    session_idle_seconds: stored.session_idle_seconds ?? 86_400,
    session_absolute_seconds: stored.session_absolute_seconds ?? 30 * 86_400,
    mfa_required: stored.mfa_required ?? false,
    retention_audit_days: stored.retention_audit_days ?? 365,
    retention_audit_days_before: pending ? stored.retention_audit_days_before : null,
    retention_effective_time: pending ? stored.retention_effective_time : null,
    settings_version: stored.settings_version ?? '1',
    settings_update_time: stored.settings_update_time,
  }
}

export const daysInForce = (settings: Settings) => settings.retention_audit_days_before ?? settings.retention_audit_days

/** Proto names of what can be set. */
const names = {
  password_min_length: 'password.min_length',
  session_idle_seconds: 'session.idle_seconds',
  session_absolute_seconds: 'session.absolute_seconds',
  mfa_required: 'mfa.required',
  retention_audit_days: 'retention.audit_days',
} as const
type Name = keyof typeof names
const all = Object.keys(names) as Name[]

/** What an update names; undefined: stays. */
export type SettingsPatch = { readonly [N in Name]: Settings[N] | undefined }

/** The settings after the patch and the proto names of what changed; none: nothing to write. */
export function patchedSettings(
  settings: Settings,
  patch: SettingsPatch,
  { etag, now }: Change,
): { next: Settings; changedFields: string[] } {
  if (all.every((name) => patch[name] === undefined)) throw new Fault('UPDATE_EMPTY', 'the update names no field')
  checkEtag({ row_version: settings.settings_version }, etag)
  const changed = all.filter((name) => patch[name] !== undefined && patch[name] !== settings[name])
  if (changed.length === 0) return { next: settings, changedFields: [] }
  const next: Settings = {
    ...settings,
    ...Object.fromEntries(changed.map((name) => [name, patch[name]])),
    ...(changed.includes('retention_audit_days') ? whenShortened(settings, patch.retention_audit_days ?? 0, now) : {}),
    settings_version: String(BigInt(settings.settings_version) + 1n),
    settings_update_time: now,
  }
  checkTogether(next, patch)
  return { next, changedFields: changed.map((name) => names[name]) }
}

function whenShortened(settings: Settings, days: number, now: Date) {
  const before = daysInForce(settings)
  return days < before
    ? { retention_audit_days_before: before, retention_effective_time: new Date(now.getTime() + shorteningMs) }
    : { retention_audit_days_before: null, retention_effective_time: null }
}

/** What the settings demand of each other, told of the field that the update names. */
function checkTogether(next: Settings, patch: SettingsPatch): void {
  const violations: Violation[] = []
  const refuse = (one: Name, other: Name, description: string) =>
    violations.push({ field: names[patch[one] === undefined ? other : one], description })
  if (next.password_min_length < passwordFloor && !next.mfa_required)
    refuse('password_min_length', 'mfa_required', `passwords of less than ${passwordFloor} characters go with mfa.required`)
  if (next.session_idle_seconds > next.session_absolute_seconds)
    refuse('session_idle_seconds', 'session_absolute_seconds', 'session.idle_seconds is at most session.absolute_seconds')
  if (violations.length === 0) return
  const message = violations.map(({ field, description }) => `${field}: ${description}`).join('; ')
  throw new Fault('FIELD_INVALID', message, { violations_total: String(violations.length) }, { violations })
}
