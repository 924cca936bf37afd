-- Every query of the repos, made by a test (npm test -- -u); {s} is a tenant's schema.

-- jobs: advance
insert into platform.relay_positions as p (tenant_id, stream, sent) select a.tenant_id, a.stream, a.sent from unnest($4::text[], $5::text[], $6::bigint[]) a(tenant_id, stream, sent) where exists (select from platform.leases l where l.name = $1 and l.holder = $2 and l.epoch = $3::bigint) order by a.tenant_id, a.stream on conflict (tenant_id, stream) do update set sent = greatest(p.sent, excluded.sent) returning tenant_id;

-- jobs: advanceReplay
update platform.replays r set position = greatest(r.position, $5::bigint), state = $6, update_time = now(), end_time = case when $6 in ('DONE', 'FAILED') then now() end where r.id = $4 and r.end_time is null and exists (select from platform.leases l where l.name = $1 and l.holder = $2 and l.epoch = $3::bigint) returning r.id;

-- jobs: countWeeksAhead
select lib.event_weeks_ahead() as ahead;

-- jobs: dropWeeks
select dropped, kept from lib.drop_event_partitions($1::integer);

-- jobs: findPending
select distinct c.tenant_id from platform.tenant_counters c cross join lateral (values ('domain', c.domain_sequence), ('security', c.security_sequence), ('platform', c.platform_sequence)) s(stream, last) left join platform.relay_positions p on p.tenant_id = c.tenant_id and p.stream = s.stream where s.stream = any ($1::text[]) and s.last > 0 and s.last > coalesce(p.sent, 0);

-- jobs: makeWeeks
select lib.make_event_partitions($1::integer) as made;

-- jobs: park
insert into platform.dead_letters (tenant_id, stream, sequence, event_id, type, reason, detail, time, subject, payload, traceparent, correlation_id, causation_id) select e.tenant_id, e.stream, e.sequence, e.id, e.type, d.reason, d.detail, e.time, e.subject, e.payload, e.traceparent, e.correlation_id, e.causation_id from unnest($4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[]) d(tenant_id, stream, sequence, reason, detail) join platform.events e on e.tenant_id = d.tenant_id and e.stream = d.stream and e.sequence = d.sequence where exists (select from platform.leases l where l.name = $1 and l.holder = $2 and l.epoch = $3::bigint) on conflict (tenant_id, stream, sequence) do nothing;

-- jobs: readCounters
select tenant_id, domain_sequence, access_revision, session_epoch from platform.tenant_counters where tenant_id = any ($1::text[]);

-- jobs: readPending
select b.tenant_id, b.stream, b.sent, b.last, b.sequence, to_char(b.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time, b.id, b.type, b.subject, b.traceparent, b.correlation_id, b.causation_id, b.upto > $4::bigint as over, case when b.bytes <= 900000 and b.upto <= $4::bigint then b.payload end as payload from ( select q.nth, q.tenant_id, q.stream, q.sent, q.last, e.sequence, e.time, e.id, e.type, e.subject, e.payload, e.traceparent, e.correlation_id, e.causation_id, octet_length(e.payload) as bytes, sum(case when octet_length(e.payload) <= 900000 then octet_length(e.payload) else 0 end + 1000) over (order by q.nth, q.stream, e.sequence) as upto from ( select n.nth, c.tenant_id, s.stream, s.last, greatest(p.sent, a.sequence, 0) as sent from unnest($2::text[]) with ordinality n(tenant_id, nth) join platform.tenant_counters c on c.tenant_id = n.tenant_id cross join lateral (values ('domain', c.domain_sequence), ('security', c.security_sequence), ('platform', c.platform_sequence)) s(stream, last) left join platform.relay_positions p on p.tenant_id = c.tenant_id and p.stream = s.stream left join unnest($5::text[], $6::text[], $7::bigint[]) a(tenant_id, stream, sequence) on a.tenant_id = c.tenant_id and a.stream = s.stream where s.stream = any ($1::text[]) and s.last > greatest(p.sent, a.sequence, 0) ) q cross join lateral ( select * from platform.events e where e.tenant_id = q.tenant_id and e.stream = q.stream and e.sequence > q.sent order by e.sequence limit $3::integer ) e ) b order by b.nth, b.stream, b.sequence;

-- jobs: readRedrives
select e.tenant_id, e.stream, e.sequence, to_char(e.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time, e.event_id as id, e.type, e.subject, e.traceparent, e.correlation_id, e.causation_id, e.replay_id, e.upto > $2::bigint as over, case when octet_length(e.payload) <= 900000 and e.upto <= $2::bigint then e.payload end as payload from ( select e.*, q.replay_id, sum(case when octet_length(e.payload) <= 900000 then octet_length(e.payload) else 0 end + 1000) over (order by q.tenant_id, q.stream, q.sequence) as upto from (select * from platform.redrives order by tenant_id, stream, sequence limit $1::integer) q join platform.dead_letters e on e.tenant_id = q.tenant_id and e.stream = q.stream and e.sequence = q.sequence ) e order by e.tenant_id, e.stream, e.sequence;

-- jobs: readReplay
select r.id as replay_id, r.tenant_id as of_tenant_id, r.position, r.until_sequence, e.tenant_id, e.stream, e.sequence, to_char(e.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time, e.id, e.type, e.subject, e.traceparent, e.correlation_id, e.causation_id, e.upto > $2::bigint as over, case when octet_length(e.payload) <= 900000 and e.upto <= $2::bigint then e.payload end as payload from (select * from platform.replays where end_time is null order by update_time, id limit 1) r left join lateral ( select e.*, sum(case when octet_length(e.payload) <= 900000 then octet_length(e.payload) else 0 end + 1000) over (order by e.sequence) as upto from ( select * from platform.events v where v.tenant_id = r.tenant_id and v.stream = 'domain' and v.sequence > r.position and v.sequence <= r.until_sequence order by v.sequence limit $1::integer ) e ) e on true order by e.sequence;

-- jobs: releaseLeases
update platform.leases set expire_time = '-infinity' where name = any ($1::text[]) and holder = $2;

-- jobs: settleRedrives
with gone as ( delete from platform.redrives q using unnest($4::text[], $5::text[], $6::bigint[], $7::text[], $8::boolean[]) d(tenant_id, stream, sequence, replay_id, sent) where q.tenant_id = d.tenant_id and q.stream = d.stream and q.sequence = d.sequence and q.replay_id = d.replay_id and exists (select from platform.leases l where l.name = $1 and l.holder = $2 and l.epoch = $3::bigint) returning d.tenant_id, d.stream, d.sequence, d.sent ), noted as ( update platform.dead_letters l set redrive_time = now() from gone g where g.sent and l.tenant_id = g.tenant_id and l.stream = g.stream and l.sequence = g.sequence ) select count(*)::integer as count from gone;

-- jobs: takeLeases
insert into platform.leases as l (name, holder, epoch, expire_time) select n.name, $2, 1, now() + $3::integer * interval '1 millisecond' from unnest($1::text[]) n(name) order by n.name on conflict (name) do update set holder = excluded.holder, expire_time = excluded.expire_time, epoch = l.epoch + case when l.holder = excluded.holder and l.expire_time > now() then 0 else 1 end where l.holder = excluded.holder or l.expire_time <= now() returning l.name, l.epoch;

-- tenants: findTenantBySlug
/* as platform_app */ select "t"."id", "t"."slug", "t"."display_name", "t"."plan", "t"."region", "t"."schema_version", "t"."labels", "t"."billing_email", "t"."security_email", "t"."purge_hold", "t"."suspend_reason", "t"."state", "t"."row_version", "t"."create_time", "t"."update_time", "t"."suspend_time", "t"."delete_time", "t"."purge_time", "c"."access_revision" from "platform"."tenants" as "t" inner join "platform"."tenant_counters" as "c" on "c"."tenant_id" = "t"."id" where "t"."slug" = $1;

-- tenants: freeSlugLike
select slug from platform.tenants where slug = any ($1);

-- tenants: insertTenant
/* as platform_app */ with w as (insert into "platform"."tenants" ("id", "slug", "display_name", "plan", "region", "labels", "billing_email", "security_email", "create_time", "update_time") values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict ("slug") do nothing returning 1) select lib.require_rows((select count(*) from w), $11);

-- tenants: listTenants
/* as platform_app */ select "t"."id", "t"."slug", "t"."display_name", "t"."plan", "t"."region", "t"."schema_version", "t"."labels", "t"."billing_email", "t"."security_email", "t"."purge_hold", "t"."suspend_reason", "t"."state", "t"."row_version", "t"."create_time", "t"."update_time", "t"."suspend_time", "t"."delete_time", "t"."purge_time", "c"."access_revision", "t"."create_time"::text as "at" from "platform"."tenants" as "t" inner join "platform"."tenant_counters" as "c" on "c"."tenant_id" = "t"."id" order by "t"."create_time" desc, "t"."id" desc limit $1;
/* as platform_app */ select "t"."id", "t"."slug", "t"."display_name", "t"."plan", "t"."region", "t"."schema_version", "t"."labels", "t"."billing_email", "t"."security_email", "t"."purge_hold", "t"."suspend_reason", "t"."state", "t"."row_version", "t"."create_time", "t"."update_time", "t"."suspend_time", "t"."delete_time", "t"."purge_time", "c"."access_revision", "t"."create_time"::text as "at" from "platform"."tenants" as "t" inner join "platform"."tenant_counters" as "c" on "c"."tenant_id" = "t"."id" where "t"."state" = $1 and "t"."plan" = $2 and "t"."region" = $3 and "t"."labels" ? $4 and ("t"."create_time", "t"."id") > ($5::timestamptz, $6) order by "t"."create_time" asc, "t"."id" asc limit $7;
/* as platform_app */ select "t"."id", "t"."slug", "t"."display_name", "t"."plan", "t"."region", "t"."schema_version", "t"."labels", "t"."billing_email", "t"."security_email", "t"."purge_hold", "t"."suspend_reason", "t"."state", "t"."row_version", "t"."create_time", "t"."update_time", "t"."suspend_time", "t"."delete_time", "t"."purge_time", "c"."access_revision", "t"."create_time"::text as "at" from "platform"."tenants" as "t" inner join "platform"."tenant_counters" as "c" on "c"."tenant_id" = "t"."id" where "t"."delete_time" is null and "t"."labels" @> $1 and "t"."create_time" > $2 and "t"."create_time" < $3 and ("t"."slug", "t"."id") > ($4, $5) order by "t"."slug" asc, "t"."id" asc limit $6;

-- tenants: lockTenant
/* as platform_app */ select "t"."id", "t"."slug", "t"."display_name", "t"."plan", "t"."region", "t"."schema_version", "t"."labels", "t"."billing_email", "t"."security_email", "t"."purge_hold", "t"."suspend_reason", "t"."state", "t"."row_version", "t"."create_time", "t"."update_time", "t"."suspend_time", "t"."delete_time", "t"."purge_time", "c"."access_revision" from "platform"."tenants" as "t" inner join "platform"."tenant_counters" as "c" on "c"."tenant_id" = "t"."id" where "t"."id" = $1 for no key update of "t";

-- tenants: readTenant
/* as platform_app */ select "t"."id", "t"."slug", "t"."display_name", "t"."plan", "t"."region", "t"."schema_version", "t"."labels", "t"."billing_email", "t"."security_email", "t"."purge_hold", "t"."suspend_reason", "t"."state", "t"."row_version", "t"."create_time", "t"."update_time", "t"."suspend_time", "t"."delete_time", "t"."purge_time", "c"."access_revision" from "platform"."tenants" as "t" inner join "platform"."tenant_counters" as "c" on "c"."tenant_id" = "t"."id" where "t"."id" = $1;

-- tenants: readTenants
/* as platform_app */ select "t"."id", "t"."slug", "t"."display_name", "t"."plan", "t"."region", "t"."schema_version", "t"."labels", "t"."billing_email", "t"."security_email", "t"."purge_hold", "t"."suspend_reason", "t"."state", "t"."row_version", "t"."create_time", "t"."update_time", "t"."suspend_time", "t"."delete_time", "t"."purge_time", "c"."access_revision" from "platform"."tenants" as "t" inner join "platform"."tenant_counters" as "c" on "c"."tenant_id" = "t"."id" where "t"."id" = any ($1::text[]);

-- tenants: slugHolder
/* as platform_app */ select "id", "state" from "platform"."tenants" where "slug" = $1;
/* as platform_app */ select "reason" from "platform"."reserved_slugs" where "slug" = $1;

-- tenants: updateTenant
/* as platform_app */ with w as (update "platform"."tenants" set "display_name" = $1, "plan" = $2, "labels" = $3, "billing_email" = $4, "security_email" = $5, "purge_hold" = $6, "suspend_reason" = $7, "row_version" = $8, "update_time" = $9, "suspend_time" = $10, "delete_time" = $11, "purge_time" = $12 where "id" = $13 returning 1) select lib.require_rows((select count(*) from w), $14);

-- tenants, purges: closePurge
/* as platform_app */ with w as (update "platform"."purges" set "entry" = $1 where "tenant_id" = $2 returning 1) select lib.require_rows((select count(*) from w), $3);
/* as platform_app */ select lib.drop_tenant_role($1);

-- tenants, purges: eraseTenant
/* as platform_app */ with w as (delete from "platform"."tenants" where "id" = $1 returning 1) select lib.require_rows((select count(*) from w), $2);
/* as platform_app */ insert into "platform"."reserved_slugs" ("slug", "reason") values ($1, $2) on conflict ("slug") do nothing;
/* as platform_app */ with w as (insert into "platform"."purges" ("tenant_id", "purge_time", "entry") values ($1, $2, $3) returning 1) select lib.require_rows((select count(*) from w), $4);
/* as platform_app */ with w as (update platform.idempotency_keys set tenant_id = 'platform' where caller = $1 and method = $2 and request_id = $3 returning 1) select lib.require_rows((select count(*) from w), $4);
/* as platform_app */ delete from platform.idempotency_keys where tenant_id = $1;
/* as platform_app */ delete from "platform"."redrives" where "tenant_id" = $1;
/* as platform_app */ delete from "platform"."dead_letters" where "tenant_id" = $1;
/* as platform_app */ select lib.drop_tenant_schema($1);

-- tenants, purges: findDue
select id from platform.tenants where purge_time <= now() + $1::interval and not purge_hold and id > $2 order by id limit $3::integer;

-- tenants, purges: findUnfinished
select tenant_id as id from platform.purges where entry is not null order by tenant_id;

-- tenants, purges: lockPurge
/* as platform_app */ select "entry" from "platform"."purges" where "tenant_id" = $1 and "entry" is not null for update;

-- tenants, settings: lastReadSettings
/* as {s} */ select "password_min_length", "session_idle_seconds", "session_absolute_seconds", "mfa_required", "retention_audit_days", "retention_audit_days_before", "retention_effective_time", "settings_version", "settings_update_time" from "{s}"."tenant_state";

-- tenants, settings: readSettings
/* as {s} */ select "password_min_length", "session_idle_seconds", "session_absolute_seconds", "mfa_required", "retention_audit_days", "retention_audit_days_before", "retention_effective_time", "settings_version", "settings_update_time" from "{s}"."tenant_state";

-- tenants, settings: updateSettings
/* as {s} */ with w as (update "{s}"."tenant_state" set "password_min_length" = $1, "session_idle_seconds" = $2, "session_absolute_seconds" = $3, "mfa_required" = $4, "retention_audit_days" = $5, "retention_audit_days_before" = $6, "retention_effective_time" = $7, "settings_version" = $8, "settings_update_time" = $9 returning 1) select lib.require_rows((select count(*) from w), $10);

-- roles: insertRoles
/* as {s} */ with w as (insert into "{s}"."roles" ("key", "display_name", "description", "permissions", "system", "template_version", "create_time", "update_time") values ($1, $2, $3, $4, $5, $6, $7, $8), ($9, $10, $11, $12, $13, $14, $15, $16), ($17, $18, $19, $20, $21, $22, $23, $24) returning 1) select lib.require_rows((select count(*) from w), $25);

-- invitations: insertInvitation
/* as {s} */ with w as (insert into "{s}"."invitations" ("id", "email", "role_keys", "owner", "invited_by", "create_time", "expire_time") values ($1, $2, $3, $4, $5, $6, $7) returning 1) select lib.require_rows((select count(*) from w), $8);

-- platform-accounts: findBootstrapKey
select k.id, k.platform_service_account_id as account_id, k.secret_hash, a.key_valid as valid, a.scopes from platform.platform_api_keys k cross join lateral platform.access(k.id, '', $2) a where k.bootstrap = $1;

-- platform-accounts: findPlatformKey
select k.id, k.platform_service_account_id as account_id, k.secret_hash, a.key_valid as valid, a.scopes from platform.platform_api_keys k cross join lateral platform.access(k.id, '', $2) a where k.id = $1;

-- platform-accounts: insertAccount
/* as platform_app */ with w as (insert into "platform"."platform_service_accounts" ("id", "display_name", "permissions", "row_version", "create_time", "update_time", "suspend_time", "delete_time") values ($1, $2, $3, $4, $5, $6, $7, $8) returning 1) select lib.require_rows((select count(*) from w), $9);

-- platform-accounts: insertFirstKey
select from platform.tenant_counters where tenant_id = 'platform' for no key update;
insert into platform.platform_service_accounts (id, display_name, permissions) select $1, 'bootstrap', '{*}' where not exists (select from platform.platform_api_keys where bootstrap);
insert into platform.platform_api_keys (id, platform_service_account_id, display_name, secret_hash, scopes, bootstrap) select $2, $1, 'bootstrap', $3, '{*}', true where not exists (select from platform.platform_api_keys where bootstrap);
insert into platform.platform_audit (audit_seq, time, entry) select coalesce((select max(audit_seq) from platform.platform_audit), 0) + 1, clock_timestamp(), $2 where exists (select from platform.platform_service_accounts where id = $1);
update platform.tenant_counters set audit_seq = (select coalesce(max(audit_seq), 0) from platform.platform_audit), access_revision = access_revision + (exists (select from platform.platform_service_accounts where id = $1))::integer where tenant_id = 'platform';
select secret_hash, revoke_time is not null as revoked from platform.platform_api_keys where bootstrap;

-- platform-accounts: insertKey
/* as platform_app */ with w as (insert into "platform"."platform_api_keys" ("id", "platform_service_account_id", "display_name", "scopes", "create_time", "expire_time", "revoke_time", "secret_hash") values ($1, $2, $3, $4, $5, $6, $7, $8) returning 1) select lib.require_rows((select count(*) from w), $9);

-- platform-accounts: insertPlatformKey
insert into platform.platform_service_accounts (id, display_name, permissions) values ($1, $2, $3);
insert into platform.platform_api_keys (id, platform_service_account_id, display_name, secret_hash, scopes, expire_time) values ($2, $1, $3, $4, $5, $6);

-- platform-accounts: insertRecoveredKey
select from platform.tenant_counters where tenant_id = 'platform' for no key update;
insert into platform.platform_service_accounts (id, display_name, permissions) values ($1, 'recovered', $2);
insert into platform.platform_api_keys (id, platform_service_account_id, display_name, secret_hash, scopes, expire_time) values ($2, $1, 'recovered', $3, $4, now() + $5 * interval '1 day');
insert into platform.platform_audit (audit_seq, time, entry) select coalesce((select max(audit_seq) from platform.platform_audit), 0) + 1, clock_timestamp(), $2 where $1::text is not null;
update platform.tenant_counters set audit_seq = (select coalesce(max(audit_seq), 0) from platform.platform_audit), access_revision = access_revision + ($1::text is not null)::integer where tenant_id = 'platform';

-- platform-accounts: keepManager
/* as platform_app */ select "k"."id" from "platform"."platform_api_keys" as "k" inner join "platform"."platform_service_accounts" as "a" on "a"."id" = "k"."platform_service_account_id" where "a"."suspend_time" is null and "a"."delete_time" is null and "k"."revoke_time" is null and coalesce("k"."expire_time" > $1, true) and "a"."permissions" && array[$2, $3]::text[] and "k"."scopes" && array[$4, $5]::text[] limit $6;
/* as platform_app */ select lib.require_rows(exists(select "k"."id" from "platform"."platform_api_keys" as "k" inner join "platform"."platform_service_accounts" as "a" on "a"."id" = "k"."platform_service_account_id" where "a"."suspend_time" is null and "a"."delete_time" is null and "k"."revoke_time" is null and coalesce("k"."expire_time" > $1, true) and "a"."permissions" && array[$2, $3]::text[] and "k"."scopes" && array[$4, $5]::text[])::int, 1);

-- platform-accounts: listAccounts
/* as platform_app */ select "a"."id", "a"."display_name", "a"."permissions", "a"."row_version", "a"."create_time", "a"."update_time", "a"."suspend_time", "a"."delete_time", "a"."create_time"::text as "at" from "platform"."platform_service_accounts" as "a" order by "a"."create_time" desc, "a"."id" desc limit $1;
/* as platform_app */ select "a"."id", "a"."display_name", "a"."permissions", "a"."row_version", "a"."create_time", "a"."update_time", "a"."suspend_time", "a"."delete_time", "a"."create_time"::text as "at" from "platform"."platform_service_accounts" as "a" where "a"."delete_time" is null and "a"."suspend_time" is null and ("a"."create_time", "a"."id") < ($1::timestamptz, $2) order by "a"."create_time" desc, "a"."id" desc limit $3;
/* as platform_app */ select "a"."id", "a"."display_name", "a"."permissions", "a"."row_version", "a"."create_time", "a"."update_time", "a"."suspend_time", "a"."delete_time", "a"."create_time"::text as "at" from "platform"."platform_service_accounts" as "a" where "a"."delete_time" is null and "a"."suspend_time" is not null and ("a"."create_time", "a"."id") < ($1::timestamptz, $2) order by "a"."create_time" desc, "a"."id" desc limit $3;
/* as platform_app */ select "a"."id", "a"."display_name", "a"."permissions", "a"."row_version", "a"."create_time", "a"."update_time", "a"."suspend_time", "a"."delete_time", "a"."create_time"::text as "at" from "platform"."platform_service_accounts" as "a" where "a"."delete_time" is null and "a"."delete_time" is not null and ("a"."create_time", "a"."id") < ($1::timestamptz, $2) order by "a"."create_time" desc, "a"."id" desc limit $3;

-- platform-accounts: listKeys
/* as platform_app */ select "k"."id", "k"."platform_service_account_id", "k"."display_name", "k"."scopes", "k"."create_time", "k"."expire_time", "k"."revoke_time", "k"."create_time"::text as "at" from "platform"."platform_api_keys" as "k" order by "k"."create_time" desc, "k"."id" desc limit $1;
/* as platform_app */ select "k"."id", "k"."platform_service_account_id", "k"."display_name", "k"."scopes", "k"."create_time", "k"."expire_time", "k"."revoke_time", "k"."create_time"::text as "at" from "platform"."platform_api_keys" as "k" where "k"."revoke_time" is null and "k"."platform_service_account_id" = $1 and coalesce("k"."expire_time" > $2, true) and ("k"."create_time", "k"."id") < ($3::timestamptz, $4) order by "k"."create_time" desc, "k"."id" desc limit $5;
/* as platform_app */ select "k"."id", "k"."platform_service_account_id", "k"."display_name", "k"."scopes", "k"."create_time", "k"."expire_time", "k"."revoke_time", "k"."create_time"::text as "at" from "platform"."platform_api_keys" as "k" where "k"."revoke_time" is null and "k"."platform_service_account_id" = $1 and "k"."expire_time" <= $2 and ("k"."create_time", "k"."id") < ($3::timestamptz, $4) order by "k"."create_time" desc, "k"."id" desc limit $5;
/* as platform_app */ select "k"."id", "k"."platform_service_account_id", "k"."display_name", "k"."scopes", "k"."create_time", "k"."expire_time", "k"."revoke_time", "k"."create_time"::text as "at" from "platform"."platform_api_keys" as "k" where "k"."revoke_time" is null and "k"."platform_service_account_id" = $1 and "k"."revoke_time" is not null and ("k"."create_time", "k"."id") < ($2::timestamptz, $3) order by "k"."create_time" desc, "k"."id" desc limit $4;

-- platform-accounts: lockAccount
/* as platform_app */ select "a"."id", "a"."display_name", "a"."permissions", "a"."row_version", "a"."create_time", "a"."update_time", "a"."suspend_time", "a"."delete_time" from "platform"."platform_service_accounts" as "a" where "a"."id" = $1 for no key update;

-- platform-accounts: lockKey
/* as platform_app */ select "k"."id", "k"."platform_service_account_id", "k"."display_name", "k"."scopes", "k"."create_time", "k"."expire_time", "k"."revoke_time", "a"."permissions" from "platform"."platform_api_keys" as "k" inner join "platform"."platform_service_accounts" as "a" on "a"."id" = "k"."platform_service_account_id" where "k"."id" = $1 for no key update of "k";

-- platform-accounts: readAccount
/* as platform_app */ select "a"."id", "a"."display_name", "a"."permissions", "a"."row_version", "a"."create_time", "a"."update_time", "a"."suspend_time", "a"."delete_time" from "platform"."platform_service_accounts" as "a" where "a"."id" = $1;

-- platform-accounts: revokeKey
/* as platform_app */ with w as (update "platform"."platform_api_keys" set "revoke_time" = $1 where "id" = $2 returning 1) select lib.require_rows((select count(*) from w), $3);

-- platform-accounts: revokeKeysOf
/* as platform_app */ update "platform"."platform_api_keys" set "revoke_time" = $1 where "platform_service_account_id" = $2 and "revoke_time" is null;

-- platform-accounts: revokePlatformKey
update platform.platform_api_keys set revoke_time = now() where id = $1 and revoke_time is null;
update platform.tenant_counters set access_revision = access_revision + 1 where tenant_id = 'platform';

-- platform-accounts: updateAccount
/* as platform_app */ with w as (update "platform"."platform_service_accounts" set "display_name" = $1, "permissions" = $2, "row_version" = $3, "update_time" = $4, "suspend_time" = $5, "delete_time" = $6 where "id" = $7 returning 1) select lib.require_rows((select count(*) from w), $8);

-- events: findDeadLetters
/* as platform_app */  select d.tenant_id, d.stream, d.sequence, exists (select from platform.redrives q where q.tenant_id = d.tenant_id and q.stream = d.stream and q.sequence = d.sequence) as queued from unnest($1::text[], $2::text[], $3::bigint[]) a(tenant_id, stream, sequence) join platform.dead_letters d on d.tenant_id = a.tenant_id and d.stream = a.stream and d.sequence = a.sequence;

-- events: findParked
/* as platform_app */  select d.tenant_id, d.stream, d.sequence, false as queued from platform.dead_letters d where d.tenant_id = $1 and d.redrive_time is null and not exists (select from platform.redrives q where q.tenant_id = d.tenant_id and q.stream = d.stream and q.sequence = d.sequence) order by d.stream, d.sequence limit $2::integer;

-- events: insertRedrives
/* as platform_app */  insert into platform.redrives (tenant_id, stream, sequence, replay_id) select a.tenant_id, a.stream, a.sequence, $1::text from unnest($2::text[], $3::text[], $4::bigint[]) a(tenant_id, stream, sequence) order by a.tenant_id, a.stream, a.sequence on conflict (tenant_id, stream, sequence) do nothing;

-- events: insertReplay
/* as platform_app */ with w as (insert into "platform"."replays" ("id", "tenant_id", "after_sequence", "until_sequence", "position", "state", "create_time", "update_time", "end_time") values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict ("tenant_id") where "end_time" is null do nothing returning 1) select lib.require_rows((select count(*) from w), $10);

-- events: listDeadLetters
/* as platform_app */ select "d"."tenant_id", "d"."stream", "d"."sequence", "d"."event_id", "d"."type", "d"."reason", "d"."detail", "d"."time", "d"."create_time", "d"."redrive_time", octet_length(d.payload) as "payload_bytes", case when q.tenant_id is not null then 'REDRIVING' when d.redrive_time is not null then 'REDRIVEN' else 'PARKED' end as "state" from "platform"."dead_letters" as "d" left join "platform"."redrives" as "q" on "q"."tenant_id" = "d"."tenant_id" and "q"."stream" = "d"."stream" and "q"."sequence" = "d"."sequence" order by "d"."tenant_id", "d"."stream", "d"."sequence" limit $1;
/* as platform_app */ select "d"."tenant_id", "d"."stream", "d"."sequence", "d"."event_id", "d"."type", "d"."reason", "d"."detail", "d"."time", "d"."create_time", "d"."redrive_time", octet_length(d.payload) as "payload_bytes", case when q.tenant_id is not null then 'REDRIVING' when d.redrive_time is not null then 'REDRIVEN' else 'PARKED' end as "state" from "platform"."dead_letters" as "d" left join "platform"."redrives" as "q" on "q"."tenant_id" = "d"."tenant_id" and "q"."stream" = "d"."stream" and "q"."sequence" = "d"."sequence" where "d"."tenant_id" = $1 and case when q.tenant_id is not null then 'REDRIVING' when d.redrive_time is not null then 'REDRIVEN' else 'PARKED' end = $2 and (d.tenant_id, d.stream, d.sequence) > ($3, $4, $5::bigint) order by "d"."tenant_id", "d"."stream", "d"."sequence" limit $6;

-- events: listReplays
/* as platform_app */ select "id", "tenant_id", "after_sequence", "until_sequence", "position", "state", "create_time", "update_time", "end_time" from "platform"."replays" order by "create_time" desc, "id" desc limit $1;

-- events: readArchive
/* as platform_app */  select c.domain_sequence as last_sequence, coalesce( (select o.sequence from platform.events o where o.tenant_id = c.tenant_id and o.stream = 'domain' order by o.sequence limit 1), c.domain_sequence + 1) as oldest_sequence from platform.tenant_counters c where c.tenant_id = $1;

-- events: readDelivery
/* as platform_app */  select s.stream, coalesce(sum(greatest(s.last - coalesce(p.sent, 0), 0)), 0)::text as pending, min(e.time) as oldest_pending_time, max(p.sent_time) as last_sent_time from platform.tenant_counters c cross join lateral (values ('domain', c.domain_sequence), ('security', c.security_sequence), ('platform', c.platform_sequence)) s(stream, last) left join platform.relay_positions p on p.tenant_id = c.tenant_id and p.stream = s.stream left join lateral ( select f.time from platform.events f where s.last > coalesce(p.sent, 0) and f.tenant_id = c.tenant_id and f.stream = s.stream and f.sequence > coalesce(p.sent, 0) order by f.sequence limit 1 ) e on true group by s.stream;

-- events: readEvents
/* as platform_app */  select b.last_sequence, b.oldest_sequence, e.tenant_id, e.stream, e.sequence, e.id, e.type, e.subject, e.traceparent, e.correlation_id, e.causation_id, to_char(e.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time, e.over, case when e.bytes <= $1::integer and not e.over then e.payload end as payload from ( select c.tenant_id, c.domain_sequence as last_sequence, coalesce( (select o.sequence from platform.events o where o.tenant_id = c.tenant_id and o.stream = 'domain' order by o.sequence limit 1), c.domain_sequence + 1) as oldest_sequence from platform.tenant_counters c where c.tenant_id = $2 ) b left join lateral ( select f.*, octet_length(f.payload) as bytes, row_number() over up > 1 and sum(case when octet_length(f.payload) <= $3::integer then octet_length(f.payload) else 0 end + $4::integer) over up > $5::bigint as over from ( select * from platform.events d where d.tenant_id = b.tenant_id and d.stream = 'domain' and d.sequence > coalesce($6::bigint, b.oldest_sequence - 1) and d.sequence <= coalesce($7::bigint, b.oldest_sequence - 1) + $8::integer and ($9::text = '' or d.type = $10::text) order by d.sequence limit $11::integer ) f window up as (order by f.sequence) ) e on true order by e.sequence;
/* as platform_app */  select b.last_sequence, b.oldest_sequence, e.tenant_id, e.stream, e.sequence, e.id, e.type, e.subject, e.traceparent, e.correlation_id, e.causation_id, to_char(e.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time, e.over, case when e.bytes <= $1::integer and not e.over then e.payload end as payload from ( select c.tenant_id, c.domain_sequence as last_sequence, coalesce( (select o.sequence from platform.events o where o.tenant_id = c.tenant_id and o.stream = 'domain' order by o.sequence limit 1), c.domain_sequence + 1) as oldest_sequence from platform.tenant_counters c where c.tenant_id = $2 ) b left join lateral ( select f.*, octet_length(f.payload) as bytes, row_number() over up > 1 and sum(case when octet_length(f.payload) <= $3::integer then octet_length(f.payload) else 0 end + $4::integer) over up > $5::bigint as over from ( select * from platform.events d where d.tenant_id = b.tenant_id and d.stream = 'domain' and d.sequence > coalesce($6::bigint, b.oldest_sequence - 1) and d.sequence <= coalesce($7::bigint, b.oldest_sequence - 1) + $8::integer and ($9::text = '' or d.type = $10::text) order by d.sequence limit $11::integer ) f window up as (order by f.sequence) ) e on true order by e.sequence;

-- events: readRelayHolder
/* as platform_app */  select holder, case when expire_time > now() then expire_time end as expire_time from platform.leases where name = 'relay';

-- the closing flight of a tenant
/* as platform_app */ select platform.publish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);
/* as {s} */ with w as (update {s}.tenant_state set access_revision = access_revision + $1, session_epoch = session_epoch + $2 returning 1) select lib.require_rows((select count(*) from w), $3);
/* as {s} */ insert into {s}.audit_entries (audit_seq, time, entry) select coalesce((select max(audit_seq) from {s}.audit_entries), 0) + a.nth, clock_timestamp() + $2::interval, a.entry from unnest($1::text[]) with ordinality a(entry, nth);

-- the closing flight of the platform
/* as platform_app */ select platform.publish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);
/* as platform_app */ insert into platform.platform_audit (audit_seq, time, entry) select coalesce((select max(audit_seq) from platform.platform_audit), 0) + a.nth, clock_timestamp() + $2::interval, a.entry from unnest($1::text[]) with ordinality a(entry, nth);
