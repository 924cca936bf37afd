-- Settings, null where the platform's default holds. Of fixed length all of them: they need no TOAST table, of which each tenant would have one.
-- `retention_audit_days_before` is in force until `retention_effective_time`.
alter table {s}.tenant_state
  add column password_min_length integer,
  add column session_idle_seconds integer,
  add column session_absolute_seconds integer,
  add column mfa_required boolean,
  add column retention_audit_days integer,
  add column retention_audit_days_before integer,
  add column retention_effective_time timestamptz,
  add column settings_version bigint,
  add column settings_update_time timestamptz;
