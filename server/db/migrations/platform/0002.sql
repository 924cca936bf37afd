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
