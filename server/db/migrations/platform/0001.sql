-- Run by platform_owner. Roles belong to the cluster: another database of it may have made them already.
do $$
declare name text;
begin
  foreach name in array array['platform_app', 'platform_relay', 'platform_retention', 'platform_auditor'] loop
    begin
      execute format('create role %I nologin', name);
    exception when duplicate_object or unique_violation then null;
    end;
  end loop;
end $$;
revoke all on schema public from public;

-- lib: functions alone, usable under every role.
create schema lib;
grant usage on schema lib to public;
-- Another number of rows than expected is an error, so the COMMIT that is already on its way commits nothing.
create function lib.require_rows(got bigint, want bigint) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if got is distinct from want then raise exception 'expected % row(s), found %', want, got using errcode = 'TX412'; end if;
end $$;

create schema if not exists platform;

create table platform.tenants (
  id text primary key check (id ~ '^tnt_[0-9a-z]{26}$'),
  slug text not null unique,
  display_name text not null,
  plan text not null,
  region text not null,
  cell integer not null default 1,
  schema_name text not null generated always as ('t_' || substr(id, 5)) stored,
  schema_version integer not null default 0,
  labels jsonb not null default '{}',
  billing_email text,
  security_email text,
  purge_hold boolean not null default false,
  suspend_reason text,
  state text not null generated always as (case when delete_time is not null then 'DELETED' when suspend_time is not null then 'SUSPENDED' else 'ACTIVE' end) stored,
  row_version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null,
  suspend_time timestamptz,
  delete_time timestamptz,
  purge_time timestamptz,
  purge_start_time timestamptz
);
create index tenants_create_time on platform.tenants (create_time, id);
create index tenants_labels on platform.tenants using gin (labels jsonb_path_ops);
create index tenants_cell on platform.tenants (cell);

-- Slugs that nobody can take: words of the platform, and those of purged tenants.
create table platform.reserved_slugs (
  slug text primary key,
  reason text not null check (reason in ('reserved', 'retired'))
);
insert into platform.reserved_slugs (slug, reason)
select word, 'reserved' from unnest(array['about', 'abuse', 'account', 'accounts', 'admin', 'administrator', 'api', 'app', 'apps', 'assets',
  'auth', 'billing', 'blog', 'cdn', 'console', 'customer', 'customers', 'dashboard', 'dev', 'developer', 'developers', 'docs', 'enterprise',
  'events', 'example', 'ftp', 'help', 'hostmaster', 'imap', 'internal', 'legal', 'localhost', 'login', 'logout', 'mail', 'me', 'metrics', 'noreply',
  'null', 'oauth', 'operator', 'platform', 'pop', 'postmaster', 'privacy', 'public', 'register', 'root', 'sandbox', 'security', 'settings',
  'shop', 'signin', 'signup', 'smtp', 'ssl', 'staging', 'static', 'status', 'store', 'support', 'system', 'tenant', 'tenants', 'terms', 'test',
  'undefined', 'user', 'users', 'webmaster', 'well-known', 'www']) word;

-- One row per tenant, and one for the pseudo-tenant `platform`. Its lock makes sequence order equal commit order; every mutation takes it, behind
-- its writes. No index but the key and fillfactor 20, so that all updates are HOT. Never deleted, never restored.
create table platform.tenant_counters (
  tenant_id text primary key,
  domain_sequence bigint not null default 0,
  security_sequence bigint not null default 0,
  platform_sequence bigint not null default 0,
  audit_seq bigint not null default 0,
  access_revision bigint not null default 0,
  session_epoch bigint not null default 0
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
insert into platform.tenant_counters (tenant_id) values ('platform');

create table platform.idempotency_keys (
  caller text not null,
  method text not null,
  request_id text not null,
  tenant_id text not null,
  request_hash bytea not null,
  done boolean not null default false,
  -- A tenant with 64 labels of 256 four-byte characters takes 70 kB.
  answer bytea check (octet_length(answer) <= 131072),
  create_time timestamptz not null default now(),
  primary key (caller, method, request_id)
);
create index idempotency_keys_create_time on platform.idempotency_keys (create_time);
create index idempotency_keys_tenant_id on platform.idempotency_keys (tenant_id);

-- Outbox and archive in one: rows are never touched again, relay_positions advance, whole weeks are dropped. No DEFAULT partition.
-- Uniqueness of (tenant_id, stream, sequence) comes from the counter: a key across partitions must contain `time`.
create table platform.events (
  tenant_id text not null,
  stream text not null check (stream in ('domain', 'security', 'platform')),
  sequence bigint not null,
  time timestamptz not null,
  id text not null,
  type text not null,
  subject text not null,
  payload text not null,
  traceparent text not null,
  correlation_id text not null,
  causation_id text not null,
  primary key (tenant_id, stream, sequence, time)
) partition by range (time);
create table platform.relay_positions (
  tenant_id text,
  stream text,
  sent bigint not null default 0,
  primary key (tenant_id, stream)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- What could not be sent, whole: it must be there to be sent later, when its week of events is dropped. `detail` is what the broker said.
create table platform.dead_letters (
  tenant_id text,
  stream text,
  sequence bigint,
  event_id text not null,
  type text not null,
  reason text not null,
  detail text not null,
  time timestamptz not null,
  subject text not null,
  payload text not null,
  traceparent text not null,
  correlation_id text not null,
  causation_id text not null,
  create_time timestamptz not null default now(),
  primary key (tenant_id, stream, sequence)
);
create table platform.leases (
  name text primary key,
  holder text not null default '',
  epoch bigint not null default 0,
  expire_time timestamptz not null default '-infinity'
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The scripts that make a tenant's schema, `{s}` for its name; written by the migrator alone, run by lib.make_tenant.
create table platform.schema_versions (
  version integer primary key,
  checksum text not null,
  sql text not null,
  create_time timestamptz not null default now()
);

create table platform.platform_service_accounts (
  id text primary key check (id ~ '^psa_[0-9a-z]{26}$'),
  display_name text not null,
  permissions text[] not null,
  row_version bigint not null default 1,
  create_time timestamptz not null default now(),
  update_time timestamptz not null default now(),
  suspend_time timestamptz,
  delete_time timestamptz
);
create table platform.platform_api_keys (
  id text primary key check (id ~ '^pky_[0-9a-z]{26}$'),
  platform_service_account_id text not null references platform.platform_service_accounts,
  display_name text not null,
  secret_hash bytea not null unique check (octet_length(secret_hash) = 32),
  scopes text[] not null check (cardinality(scopes) between 1 and 64),
  bootstrap boolean not null default false,
  create_time timestamptz not null default now(),
  expire_time timestamptz,
  revoke_time timestamptz
);
-- The first key is made once ever, also by several first starts at once.
create unique index platform_api_keys_bootstrap on platform.platform_api_keys (bootstrap) where bootstrap;
create table platform.platform_audit (
  audit_seq bigint primary key,
  time timestamptz not null,
  entry text not null
);

-- What the first flight of a transaction reads of its caller and its tenant. `shift` moves the clock, for tests.
create function platform.access(key_id text, tenant text, shift interval)
  returns table (now timestamptz, key_valid boolean, scopes text[], tenant_state text, purge_time timestamptz,
    platform_revision bigint, access_revision bigint, session_epoch bigint)
  language plpgsql stable as $$
begin
  return query
  select pg_catalog.now() + shift,
    coalesce(k.revoke_time is null and (k.expire_time is null or k.expire_time > pg_catalog.now() + shift)
      and a.suspend_time is null and a.delete_time is null and a.id is not null, false),
    case when a.id is null then '{}'
      when '*' = any (a.permissions) then k.scopes
      when '*' = any (k.scopes) then a.permissions
      else array(select unnest(k.scopes) intersect select unnest(a.permissions)) end,
    t.state, t.purge_time, p.access_revision, coalesce(c.access_revision, 0), coalesce(c.session_epoch, 0)
  from platform.tenant_counters p
  left join platform.platform_api_keys k on k.id = key_id
  left join platform.platform_service_accounts a on a.id = k.platform_service_account_id
  left join platform.tenants t on t.id = tenant
  left join platform.tenant_counters c on c.tenant_id = tenant
  where p.tenant_id = 'platform';
end $$;

-- Claims an idempotency key, waits for a rival and reads its answer, in one. Sets `done`, not a key column: that would take FOR UPDATE.
create function platform.claim(caller text, method text, request_id text, request_hash bytea, tenant text)
  returns table (hash bytea, done boolean, answer bytea) language plpgsql as $$
begin
  return query
  insert into platform.idempotency_keys as k (caller, method, request_id, request_hash, tenant_id) values ($1, $2, $3, $4, $5)
  on conflict on constraint idempotency_keys_pkey do update set done = k.done returning k.request_hash, k.done, k.answer;
end $$;

-- Behind all writes: the counter, whose row lock makes sequence order equal commit order, the events, the stored answer.
-- `moved`: how far access_revision and session_epoch move. `seen`: both as the call was authorised under, `platform_seen` the pseudo-tenant's.
-- `claim`: caller, method, request id; null where there is none. A `stream` that the tenant has no counter for does not exist.
create function platform.publish(tenant text, audits integer, moved integer[], seen bigint[], platform_seen bigint, claim text[], reply bytea,
  shift interval, trace text, correlation text, streams text[], ids text[], types text[], subjects text[], payloads text[])
  returns void language plpgsql as $$
declare
  c platform.tenant_counters;
  n integer := (select count(*) from unnest(streams) s where s = 'domain');
  m integer := (select count(*) from unnest(streams) s where s = 'security');
  o integer := coalesce(cardinality(streams), 0) - n - m;
begin
  update platform.tenant_counters set domain_sequence = domain_sequence + n, security_sequence = security_sequence + m,
    platform_sequence = platform_sequence + o, audit_seq = audit_seq + audits,
    access_revision = access_revision + moved[1], session_epoch = session_epoch + moved[2]
  where tenant_id = tenant returning * into c;
  if not found then raise exception 'tenant % has no counter', tenant using errcode = 'TX404'; end if;
  if seen <> array[c.access_revision - moved[1], c.session_epoch - moved[2]]
    or platform_seen <> (case tenant when 'platform' then c.access_revision - moved[1]
      else (select p.access_revision from platform.tenant_counters p where p.tenant_id = 'platform') end) then
    raise exception 'access to tenant % changed', tenant using errcode = 'TX409';
  end if;
  if n + m + o > 0 then
    insert into platform.events (tenant_id, stream, sequence, time, id, type, subject, payload, traceparent, correlation_id, causation_id)
      select tenant, e.stream, case e.stream when 'domain' then c.domain_sequence - n when 'security' then c.security_sequence - m
          else c.platform_sequence - o end + row_number() over (partition by e.stream order by e.nth),
        clock_timestamp() + shift, e.id, e.type, e.subject, e.payload, trace, correlation, ''
      from unnest(streams, ids, types, subjects, payloads) with ordinality e(stream, id, type, subject, payload, nth) order by e.nth;
  end if;
  if claim is not null then
    update platform.idempotency_keys k set done = true, answer = reply
      where k.caller = claim[1] and k.method = claim[2] and k.request_id = claim[3];
    if not found then raise exception 'the claim is gone' using errcode = 'TX404'; end if;
  end if;
end $$;

-- Weeks of events, made ahead and dropped whole, in UTC whatever the session's zone; for the retention login. A lock that does not come at once is
-- not waited for: all mutations would queue behind. The job comes again.
-- A week is made beside the table and attached: CREATE … PARTITION OF would lock every writer out.
create function lib.make_event_partitions(weeks integer) returns integer language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '200ms' as $$
declare
  monday timestamptz := date_trunc('week', now());
  made integer := 0;
  name text;
begin
  perform pg_advisory_xact_lock(hashtextextended('platform.events partitions', 0));
  for i in 0..least(weeks, 60) loop
    name := 'events_' || to_char(monday + i * interval '1 week', 'IYYY_IW');
    if to_regclass('platform.' || name) is null then
      execute format('create table platform.%I (like platform.events including all)', name);
      execute format('alter table platform.events attach partition platform.%I for values from (%L) to (%L)',
        name, monday + i * interval '1 week', monday + (i + 1) * interval '1 week');
      made := made + 1;
    end if;
  end loop;
  return made;
end $$;
-- Drops the weeks that ended keep_days ago, the oldest first, up to one with events that were not sent: it stays, and those behind it, since an
-- archive has no holes. Where no relay has ever held its lease, nothing will be sent, and age alone decides. `kept`: weeks that wait for the relay.
create function lib.drop_event_partitions(keep_days integer) returns table (dropped integer, kept integer) language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '200ms' as $$
declare
  relayed boolean := exists (select from platform.leases where name = 'relay');
  unsent boolean := false;
  part record;
begin
  if keep_days is null or keep_days < 7 then raise exception 'events are kept for at least 7 days' using errcode = '22023'; end if;
  dropped := 0;
  kept := 0;
  perform pg_advisory_xact_lock(hashtextextended('platform.events partitions', 0));
  for part in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'platform.events'::regclass
    and c.relname ~ '^events_[0-9]{4}_[0-9]{2}$' and to_date(substr(c.relname, 8), 'IYYY_IW') + 7 <= (now() - keep_days * interval '1 day')::date
    order by c.relname loop
    if relayed and not unsent then
      execute format('select exists (select from platform.tenant_counters c cross join lateral
          (values (''domain'', c.domain_sequence), (''security'', c.security_sequence), (''platform'', c.platform_sequence)) s(stream, last)
        left join platform.relay_positions p on p.tenant_id = c.tenant_id and p.stream = s.stream
        where s.last > coalesce(p.sent, 0) and exists (select from platform.%I e
          where e.tenant_id = c.tenant_id and e.stream = s.stream and e.sequence > coalesce(p.sent, 0)))', part.relname) into unsent;
    end if;
    if unsent then
      kept := kept + 1;
    else
      execute format('drop table platform.%I', part.relname);
      dropped := dropped + 1;
    end if;
  end loop;
  return next;
end $$;
-- Whole weeks from now on that have their partition; the alarm is below 2.
create function lib.event_weeks_ahead() returns integer language sql stable security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
  select count(*)::integer from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'platform.events'::regclass
    and to_date(substr(c.relname, 8), 'IYYY_IW') > date_trunc('week', now())::date
$$;
select lib.make_event_partitions(4);

-- No serving login has CREATEROLE (on 15 it could grant itself pg_execute_server_program): these run as platform_owner and check the name themselves.
-- Makes role and schema of a tenant whose registry row exists, and grants the role to the login of its cell.
create function lib.make_tenant(tenant text) returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  name text := 't_' || substr(tenant, 5);
  script record;
  reached integer := 0;
begin
  if tenant is null or tenant !~ '^tnt_[0-9a-z]{26}$' then raise exception 'bad tenant id' using errcode = '22023'; end if;
  execute format('create role %I nologin', name);
  execute format('grant %I to %I', name, session_user);
  execute format('create schema %I', name);
  execute format('grant usage on schema %I to %I', name, name);
  for script in select v.version, v.sql from platform.schema_versions v order by v.version loop
    execute replace(script.sql, '{s}', name);
    reached := script.version;
  end loop;
  if reached = 0 then raise exception 'no tenant scripts are known: migrate first' using errcode = 'TX404'; end if;
  update platform.tenants set schema_version = reached where id = tenant;
  if not found then raise exception 'tenant % is not registered', tenant using errcode = 'TX404'; end if;
end $$;
-- Both look at the registry themselves: only a deleted tenant that is marked for purge, or one that is purged already.
create function lib.purgeable(tenant text) returns boolean language sql stable set search_path = pg_catalog, pg_temp as $$
  select tenant ~ '^tnt_[0-9a-z]{26}$' and exists (select from platform.tenant_counters where tenant_id = tenant)
    and not exists (select from platform.tenants where id = tenant and (delete_time is null or purge_start_time is null))
$$;
create function lib.drop_tenant_schema(tenant text) returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if lib.purgeable(tenant) is not true then raise exception 'tenant is not to be purged' using errcode = '42501'; end if;
  execute format('drop schema if exists %I cascade', 't_' || substr(tenant, 5));
end $$;
create function lib.drop_tenant_role(tenant text) returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if lib.purgeable(tenant) is not true then raise exception 'tenant is not to be purged' using errcode = '42501'; end if;
  execute format('drop role if exists %I', 't_' || substr(tenant, 5));
end $$;

revoke execute on all functions in schema lib, platform from public;
grant execute on function lib.require_rows to public;
grant execute on function lib.make_tenant, lib.drop_tenant_schema, lib.drop_tenant_role to platform_app;
grant execute on function lib.make_event_partitions, lib.drop_event_partitions, lib.event_weeks_ahead to platform_retention;
grant usage on schema platform to platform_app, platform_relay, platform_retention, platform_auditor;
grant execute on function platform.access, platform.claim, platform.publish to platform_app;
grant select, insert, update, delete on platform.tenants, platform.reserved_slugs to platform_app;
grant select, insert, update on platform.idempotency_keys, platform.tenant_counters, platform.platform_service_accounts, platform.platform_api_keys to platform_app;
grant select, insert on platform.events, platform.platform_audit to platform_app;
grant select on platform.schema_versions, platform.relay_positions, platform.dead_letters, platform.leases to platform_app;
grant select on platform.events, platform.tenant_counters to platform_relay;
grant select, insert, update on platform.relay_positions, platform.leases to platform_relay;
grant select, insert on platform.dead_letters to platform_relay;
grant select, delete on platform.idempotency_keys to platform_retention;
grant select, insert, update on platform.leases to platform_retention;
grant select on platform.tenants, platform.tenant_counters, platform.events, platform.platform_audit, platform.dead_letters, platform.schema_versions to platform_auditor;
grant select on platform.kysely_migration to platform_app;
