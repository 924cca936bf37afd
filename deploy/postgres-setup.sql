-- Once, by a superuser, in the database of the service; again, it mends what is missing. Made by `npm run gen`.
-- psql -v app_password=… -v migrator_password=… -v relay_password=… -v retention_password=… -d customer -f postgres-setup.sql
do $$ begin create role "platform_owner"; exception when duplicate_object then null; end $$;
alter role "platform_owner" nologin noinherit createrole;
do $$ begin create role "customer_app"; exception when duplicate_object then null; end $$;
alter role "customer_app" login noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'app_password';
do $$ begin create role "customer_migrator"; exception when duplicate_object then null; end $$;
alter role "customer_migrator" login noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'migrator_password';
do $$ begin create role "customer_relay"; exception when duplicate_object then null; end $$;
alter role "customer_relay" login noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'relay_password';
do $$ begin create role "customer_retention"; exception when duplicate_object then null; end $$;
alter role "customer_retention" login noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'retention_password';
grant platform_owner to "customer_migrator";
alter role "customer_migrator" set role = platform_owner;
alter database "customer" owner to platform_owner;
revoke execute on function pg_catalog.set_config(text, text, boolean) from public;
grant execute on function pg_catalog.set_config(text, text, boolean) to platform_owner;
revoke temporary on database "customer" from public;
