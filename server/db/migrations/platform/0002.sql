-- Answers that hold a secret, whole and sealed: for 10 minutes a repeat with the same request_id gets them. The record itself
-- (idempotency_keys) keeps them without the secret.
create table platform.sealed_answers (
  caller text,
  method text,
  request_id text,
  sealed text not null,
  create_time timestamptz not null default now(),
  primary key (caller, method, request_id)
);
grant select, insert on platform.sealed_answers to platform_app;
grant select, delete on platform.sealed_answers to platform_retention;
-- Purged tenants, ids alone: applied again after a restore. `entry` is what the platform's trail will say, until it says so and the role is dropped.
create table platform.purges (
  tenant_id text primary key,
  purge_time timestamptz not null,
  entry text
);
create index purges_unfinished on platform.purges (tenant_id) where entry is not null;
grant select, insert, update on platform.purges to platform_app;
grant select on platform.purges to platform_auditor, platform_retention;
-- What the job must know to look for tenants that are due, and no more.
grant select (id, purge_time, purge_hold) on platform.tenants to platform_retention;
-- The stored answers of calls on a purged tenant.
grant delete on platform.idempotency_keys to platform_app;
-- Whoever reads a table of the tenant waits behind the drop: so it waits for no lock longer than this, that of the fleet's run included. It is tried
-- again.
create or replace function lib.drop_tenant_schema(tenant text) returns void language plpgsql security definer
  set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
begin
  if lib.purgeable(tenant) is not true then raise exception 'tenant is not to be purged' using errcode = '42501'; end if;
  perform pg_advisory_xact_lock(hashtextextended(tenant, 0));
  execute format('drop schema if exists %I cascade', 't_' || substr(tenant, 5));
end $$;
-- When the broker last acknowledged something of the stream. By a trigger, so that relays of either version keep it.
alter table platform.relay_positions add column sent_time timestamptz;
create function platform.note_sent_time() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.sent_time := now();
  return new;
end $$;
create trigger sent_time before insert or update on platform.relay_positions for each row execute function platform.note_sent_time();

-- When the letter was last sent once more.
alter table platform.dead_letters add column redrive_time timestamptz;
-- Letters that are to be sent once more; a row leaves with the attempt.
create table platform.redrives (
  tenant_id text,
  stream text,
  sequence bigint,
  replay_id text not null,
  primary key (tenant_id, stream, sequence)
);

-- Domain events of one tenant that are sent once more. The broker has those up to `position`.
create table platform.replays (
  id text primary key check (id ~ '^rpl_[0-9a-z]{26}$'),
  tenant_id text not null,
  after_sequence bigint not null,
  until_sequence bigint not null,
  position bigint not null,
  state text not null check (state in ('QUEUED', 'RUNNING', 'DONE', 'FAILED')),
  create_time timestamptz not null,
  update_time timestamptz not null,
  end_time timestamptz
);
-- One run a tenant at a time.
create unique index replays_running on platform.replays (tenant_id) where end_time is null;
create index replays_create_time on platform.replays (create_time);

revoke execute on function platform.note_sent_time from public;
grant select, insert on platform.redrives, platform.replays to platform_app;
grant select, delete on platform.redrives to platform_relay;
grant select, update on platform.replays to platform_relay;
grant update (redrive_time) on platform.dead_letters to platform_relay;
grant select on platform.redrives, platform.replays to platform_auditor;
-- What a purged tenant has parked leaves with it: its payloads hold role mailboxes.
grant delete on platform.dead_letters, platform.redrives to platform_app;
