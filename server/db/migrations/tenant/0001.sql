create table {s}.tenant_state (
  one boolean primary key default true check (one),
  access_revision bigint not null default 0,
  session_epoch bigint not null default 0
) with (fillfactor = 20);
insert into {s}.tenant_state default values;
create table {s}.roles (
  key varchar(63) primary key,
  display_name varchar(200) not null,
  description varchar(500) not null,
  permissions varchar(63)[] not null check (cardinality(permissions) > 0),
  system boolean not null,
  template_version integer not null,
  row_version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null
);
create table {s}.invitations (
  id varchar(40) primary key,
  email varchar(320) not null,
  role_keys varchar(63)[] not null check (cardinality(role_keys) > 0),
  owner boolean not null,
  invited_by varchar(40) not null,
  secret_hash bytea,
  row_version bigint not null default 1,
  create_time timestamptz not null,
  expire_time timestamptz not null,
  accept_time timestamptz,
  revoke_time timestamptz
);
create table {s}.audit_entries (
  audit_seq bigint primary key,
  time timestamptz not null,
  entry text not null
);
grant select, update on {s}.tenant_state to {s};
grant select, insert, update, delete on {s}.roles, {s}.invitations to {s};
grant select, insert on {s}.audit_entries to {s};
