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
