-- A listing for readers, made by a test (npm test -- -u); nobody runs it. {s} is the schema's own name.

-- platform
column dead_letters.causation_id text not null
column dead_letters.correlation_id text not null
column dead_letters.create_time timestamp with time zone not null default now()
column dead_letters.detail text not null
column dead_letters.event_id text not null
column dead_letters.payload text not null
column dead_letters.reason text not null
column dead_letters.redrive_time timestamp with time zone
column dead_letters.sequence bigint not null
column dead_letters.stream text not null
column dead_letters.subject text not null
column dead_letters.tenant_id text not null
column dead_letters.time timestamp with time zone not null
column dead_letters.traceparent text not null
column dead_letters.type text not null
column events.causation_id text not null
column events.correlation_id text not null
column events.id text not null
column events.payload text not null
column events.sequence bigint not null
column events.stream text not null
column events.subject text not null
column events.tenant_id text not null
column events.time timestamp with time zone not null
column events.traceparent text not null
column events.type text not null
column idempotency_keys.answer bytea
column idempotency_keys.caller text not null
column idempotency_keys.create_time timestamp with time zone not null default now()
column idempotency_keys.done boolean not null default false
column idempotency_keys.method text not null
column idempotency_keys.request_hash bytea not null
column idempotency_keys.request_id text not null
column idempotency_keys.tenant_id text not null
column leases.epoch bigint not null default 0
column leases.expire_time timestamp with time zone not null default '-infinity'::timestamp with time zone
column leases.holder text not null default ''::text
column leases.name text not null
column platform_api_keys.bootstrap boolean not null default false
column platform_api_keys.create_time timestamp with time zone not null default now()
column platform_api_keys.display_name text not null
column platform_api_keys.expire_time timestamp with time zone
column platform_api_keys.id text not null
column platform_api_keys.platform_service_account_id text not null
column platform_api_keys.revoke_time timestamp with time zone
column platform_api_keys.scopes text[] not null
column platform_api_keys.secret_hash bytea not null
column platform_audit.audit_seq bigint not null
column platform_audit.entry text not null
column platform_audit.time timestamp with time zone not null
column platform_service_accounts.create_time timestamp with time zone not null default now()
column platform_service_accounts.delete_time timestamp with time zone
column platform_service_accounts.display_name text not null
column platform_service_accounts.id text not null
column platform_service_accounts.permissions text[] not null
column platform_service_accounts.row_version bigint not null default 1
column platform_service_accounts.suspend_time timestamp with time zone
column platform_service_accounts.update_time timestamp with time zone not null default now()
column purges.entry text
column purges.purge_time timestamp with time zone not null
column purges.tenant_id text not null
column redrives.replay_id text not null
column redrives.sequence bigint not null
column redrives.stream text not null
column redrives.tenant_id text not null
column relay_positions.sent bigint not null default 0
column relay_positions.sent_time timestamp with time zone
column relay_positions.stream text not null
column relay_positions.tenant_id text not null
column replays.after_sequence bigint not null
column replays.create_time timestamp with time zone not null
column replays.end_time timestamp with time zone
column replays.id text not null
column replays.position bigint not null
column replays.state text not null
column replays.tenant_id text not null
column replays.until_sequence bigint not null
column replays.update_time timestamp with time zone not null
column reserved_slugs.reason text not null
column reserved_slugs.slug text not null
column schema_versions.checksum text not null
column schema_versions.create_time timestamp with time zone not null default now()
column schema_versions.sql text not null
column schema_versions.version integer not null
column sealed_answers.caller text not null
column sealed_answers.create_time timestamp with time zone not null default now()
column sealed_answers.method text not null
column sealed_answers.request_id text not null
column sealed_answers.sealed text not null
column tenant_counters.access_revision bigint not null default 0
column tenant_counters.audit_seq bigint not null default 0
column tenant_counters.domain_sequence bigint not null default 0
column tenant_counters.platform_sequence bigint not null default 0
column tenant_counters.security_sequence bigint not null default 0
column tenant_counters.session_epoch bigint not null default 0
column tenant_counters.tenant_id text not null
column tenants.billing_email text
column tenants.cell integer not null default 1
column tenants.create_time timestamp with time zone not null
column tenants.delete_time timestamp with time zone
column tenants.display_name text not null
column tenants.id text not null
column tenants.labels jsonb not null default '{}'::jsonb
column tenants.plan text not null
column tenants.purge_hold boolean not null default false
column tenants.purge_start_time timestamp with time zone
column tenants.purge_time timestamp with time zone
column tenants.region text not null
column tenants.row_version bigint not null default 1
column tenants.schema_name text not null generated ('t_'::text || substr(id, 5))
column tenants.schema_version integer not null default 0
column tenants.security_email text
column tenants.slug text not null
column tenants.state text not null generated 
CASE
    WHEN (delete_time IS NOT NULL) THEN 'DELETED'::text
    WHEN (suspend_time IS NOT NULL) THEN 'SUSPENDED'::text
    ELSE 'ACTIVE'::text
END
column tenants.suspend_reason text
column tenants.suspend_time timestamp with time zone
column tenants.update_time timestamp with time zone not null
constraint dead_letters PRIMARY KEY (tenant_id, stream, sequence)
constraint events CHECK ((stream = ANY (ARRAY['domain'::text, 'security'::text, '{s}'::text])))
constraint events PRIMARY KEY (tenant_id, stream, sequence, "time")
constraint idempotency_keys CHECK ((octet_length(answer) <= 131072))
constraint idempotency_keys PRIMARY KEY (caller, method, request_id)
constraint leases PRIMARY KEY (name)
constraint platform_api_keys CHECK (((cardinality(scopes) >= 1) AND (cardinality(scopes) <= 64)))
constraint platform_api_keys CHECK ((id ~ '^pky_[0-9a-z]{26}$'::text))
constraint platform_api_keys CHECK ((octet_length(secret_hash) = 32))
constraint platform_api_keys FOREIGN KEY (platform_service_account_id) REFERENCES {s}.platform_service_accounts(id)
constraint platform_api_keys PRIMARY KEY (id)
constraint platform_api_keys UNIQUE (secret_hash)
constraint platform_audit PRIMARY KEY (audit_seq)
constraint platform_service_accounts CHECK ((id ~ '^psa_[0-9a-z]{26}$'::text))
constraint platform_service_accounts PRIMARY KEY (id)
constraint purges PRIMARY KEY (tenant_id)
constraint redrives PRIMARY KEY (tenant_id, stream, sequence)
constraint relay_positions PRIMARY KEY (tenant_id, stream)
constraint replays CHECK ((id ~ '^rpl_[0-9a-z]{26}$'::text))
constraint replays CHECK ((state = ANY (ARRAY['QUEUED'::text, 'RUNNING'::text, 'DONE'::text, 'FAILED'::text])))
constraint replays PRIMARY KEY (id)
constraint reserved_slugs CHECK ((reason = ANY (ARRAY['reserved'::text, 'retired'::text])))
constraint reserved_slugs PRIMARY KEY (slug)
constraint schema_versions PRIMARY KEY (version)
constraint sealed_answers PRIMARY KEY (caller, method, request_id)
constraint tenant_counters PRIMARY KEY (tenant_id)
constraint tenants CHECK ((id ~ '^tnt_[0-9a-z]{26}$'::text))
constraint tenants PRIMARY KEY (id)
constraint tenants UNIQUE (slug)
function {s}.access(text,text,interval) returns TABLE(now timestamp with time zone, key_valid boolean, scopes text[], tenant_state text, purge_time timestamp with time zone, platform_revision bigint, access_revision bigint, session_epoch bigint) owner platform_owner
function {s}.claim(text,text,text,bytea,text) returns TABLE(hash bytea, done boolean, answer bytea) owner platform_owner
function {s}.note_sent_time() returns trigger set search_path=pg_catalog, pg_temp owner platform_owner
function {s}.publish(text,integer,integer[],bigint[],bigint,text[],bytea,interval,text,text,text[],text[],text[],text[],text[]) returns void owner platform_owner
grant DELETE, INSERT, SELECT on redrives to platform_app
grant DELETE, INSERT, SELECT, UPDATE on idempotency_keys to platform_app
grant DELETE, INSERT, SELECT, UPDATE on reserved_slugs to platform_app
grant DELETE, INSERT, SELECT, UPDATE on tenants to platform_app
grant DELETE, SELECT on dead_letters to platform_app
grant DELETE, SELECT on idempotency_keys to platform_retention
grant DELETE, SELECT on redrives to platform_relay
grant DELETE, SELECT on sealed_answers to platform_retention
grant EXECUTE on function {s}.access(text,text,interval) to platform_app
grant EXECUTE on function {s}.claim(text,text,text,bytea,text) to platform_app
grant EXECUTE on function {s}.publish(text,integer,integer[],bigint[],bigint,text[],bytea,interval,text,text,text[],text[],text[],text[],text[]) to platform_app
grant INSERT, SELECT on dead_letters to platform_relay
grant INSERT, SELECT on events to platform_app
grant INSERT, SELECT on platform_audit to platform_app
grant INSERT, SELECT on replays to platform_app
grant INSERT, SELECT on sealed_answers to platform_app
grant INSERT, SELECT, UPDATE on leases to platform_relay
grant INSERT, SELECT, UPDATE on leases to platform_retention
grant INSERT, SELECT, UPDATE on platform_api_keys to platform_app
grant INSERT, SELECT, UPDATE on platform_service_accounts to platform_app
grant INSERT, SELECT, UPDATE on purges to platform_app
grant INSERT, SELECT, UPDATE on relay_positions to platform_relay
grant INSERT, SELECT, UPDATE on tenant_counters to platform_app
grant SELECT on dead_letters to platform_auditor
grant SELECT on events to platform_auditor
grant SELECT on events to platform_relay
grant SELECT on leases to platform_app
grant SELECT on platform_audit to platform_auditor
grant SELECT on purges to platform_auditor
grant SELECT on purges to platform_retention
grant SELECT on redrives to platform_auditor
grant SELECT on relay_positions to platform_app
grant SELECT on replays to platform_auditor
grant SELECT on schema_versions to platform_app
grant SELECT on schema_versions to platform_auditor
grant SELECT on tenant_counters to platform_auditor
grant SELECT on tenant_counters to platform_relay
grant SELECT on tenants to platform_auditor
grant SELECT, UPDATE on replays to platform_relay
grant USAGE on schema to platform_app
grant USAGE on schema to platform_auditor
grant USAGE on schema to platform_relay
grant USAGE on schema to platform_retention
index CREATE INDEX idempotency_keys_create_time ON {s}.idempotency_keys USING btree (create_time)
index CREATE INDEX idempotency_keys_tenant_id ON {s}.idempotency_keys USING btree (tenant_id)
index CREATE INDEX purges_unfinished ON {s}.purges USING btree (tenant_id) WHERE (entry IS NOT NULL)
index CREATE INDEX replays_create_time ON {s}.replays USING btree (create_time)
index CREATE INDEX tenants_cell ON {s}.tenants USING btree (cell)
index CREATE INDEX tenants_create_time ON {s}.tenants USING btree (create_time, id)
index CREATE INDEX tenants_labels ON {s}.tenants USING gin (labels jsonb_path_ops)
index CREATE UNIQUE INDEX platform_api_keys_bootstrap ON {s}.platform_api_keys USING btree (bootstrap) WHERE bootstrap
index CREATE UNIQUE INDEX platform_api_keys_secret_hash_key ON {s}.platform_api_keys USING btree (secret_hash)
index CREATE UNIQUE INDEX replays_running ON {s}.replays USING btree (tenant_id) WHERE (end_time IS NULL)
index CREATE UNIQUE INDEX tenants_slug_key ON {s}.tenants USING btree (slug)
schema owner platform_owner
table dead_letters owner platform_owner
table events partitioned by RANGE ("time") owner platform_owner
table idempotency_keys owner platform_owner
table leases with fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000 owner platform_owner
table platform_api_keys owner platform_owner
table platform_audit owner platform_owner
table platform_service_accounts owner platform_owner
table purges owner platform_owner
table redrives owner platform_owner
table relay_positions with fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000 owner platform_owner
table replays owner platform_owner
table reserved_slugs owner platform_owner
table schema_versions owner platform_owner
table sealed_answers owner platform_owner
table tenant_counters with fillfactor=20, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000 owner platform_owner
table tenants owner platform_owner
trigger CREATE TRIGGER sent_time BEFORE INSERT OR UPDATE ON {s}.relay_positions FOR EACH ROW EXECUTE FUNCTION {s}.note_sent_time()

-- lib
function {s}.drop_event_partitions(integer) returns TABLE(dropped integer, kept integer) security definer set search_path=pg_catalog, pg_temp, TimeZone=UTC, lock_timeout=200ms owner platform_owner
function {s}.drop_tenant_role(text) returns void security definer set search_path=pg_catalog, pg_temp owner platform_owner
function {s}.drop_tenant_schema(text) returns void security definer set search_path=pg_catalog, pg_temp, lock_timeout=200ms owner platform_owner
function {s}.event_weeks_ahead() returns integer security definer set search_path=pg_catalog, pg_temp, TimeZone=UTC owner platform_owner
function {s}.make_event_partitions(integer) returns integer security definer set search_path=pg_catalog, pg_temp, TimeZone=UTC, lock_timeout=200ms owner platform_owner
function {s}.make_tenant(text) returns void security definer set search_path=pg_catalog, pg_temp owner platform_owner
function {s}.purgeable(text) returns boolean set search_path=pg_catalog, pg_temp owner platform_owner
function {s}.require_rows(bigint,bigint) returns void set search_path=pg_catalog, pg_temp owner platform_owner
grant EXECUTE on function {s}.drop_event_partitions(integer) to platform_retention
grant EXECUTE on function {s}.drop_tenant_role(text) to platform_app
grant EXECUTE on function {s}.drop_tenant_schema(text) to platform_app
grant EXECUTE on function {s}.event_weeks_ahead() to platform_retention
grant EXECUTE on function {s}.make_event_partitions(integer) to platform_retention
grant EXECUTE on function {s}.make_tenant(text) to platform_app
grant EXECUTE on function {s}.require_rows(bigint,bigint) to public
grant USAGE on schema to public
schema owner platform_owner

-- a tenant
column audit_entries.audit_seq bigint not null
column audit_entries.entry text not null
column audit_entries.time timestamp with time zone not null
column invitations.accept_time timestamp with time zone
column invitations.create_time timestamp with time zone not null
column invitations.email character varying(320) not null
column invitations.expire_time timestamp with time zone not null
column invitations.id character varying(40) not null
column invitations.invited_by character varying(40) not null
column invitations.owner boolean not null
column invitations.revoke_time timestamp with time zone
column invitations.role_keys character varying(63)[] not null
column invitations.row_version bigint not null default 1
column invitations.secret_hash bytea
column roles.create_time timestamp with time zone not null
column roles.description character varying(500) not null
column roles.display_name character varying(200) not null
column roles.key character varying(63) not null
column roles.permissions character varying(63)[] not null
column roles.row_version bigint not null default 1
column roles.system boolean not null
column roles.template_version integer not null
column roles.update_time timestamp with time zone not null
column tenant_state.access_revision bigint not null default 0
column tenant_state.mfa_required boolean
column tenant_state.one boolean not null default true
column tenant_state.password_min_length integer
column tenant_state.retention_audit_days integer
column tenant_state.retention_audit_days_before integer
column tenant_state.retention_effective_time timestamp with time zone
column tenant_state.session_absolute_seconds integer
column tenant_state.session_epoch bigint not null default 0
column tenant_state.session_idle_seconds integer
column tenant_state.settings_update_time timestamp with time zone
column tenant_state.settings_version bigint
constraint audit_entries PRIMARY KEY (audit_seq)
constraint invitations CHECK ((cardinality(role_keys) > 0))
constraint invitations PRIMARY KEY (id)
constraint roles CHECK ((cardinality(permissions) > 0))
constraint roles PRIMARY KEY (key)
constraint tenant_state CHECK (one)
constraint tenant_state PRIMARY KEY (one)
grant DELETE, INSERT, SELECT, UPDATE on invitations to {s}
grant DELETE, INSERT, SELECT, UPDATE on roles to {s}
grant INSERT, SELECT on audit_entries to {s}
grant SELECT, UPDATE on tenant_state to {s}
grant USAGE on schema to {s}
schema owner platform_owner
table audit_entries owner platform_owner
table invitations owner platform_owner
table roles owner platform_owner
table tenant_state with fillfactor=20 owner platform_owner
