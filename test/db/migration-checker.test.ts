import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { checkScript, type ScriptKind } from '../../server/db/migration-checker.js'

const reasonsOf = (script: string, kind: ScriptKind) => checkScript(script, kind).map(({ line, reason }) => `${line}: ${reason}`)
const read = (path: string) => readFileSync(new URL(`../../server/db/${path}`, import.meta.url), 'utf8')

describe('what is checked in', () => {
  const scripts = (['platform', 'tenant'] as const).flatMap((kind) =>
    readdirSync(new URL(`../../server/db/migrations/${kind}`, import.meta.url)).map(
      (name) => [`migrations/${kind}/${name}`, kind] as const,
    ),
  )
  it.each(scripts)('%s keeps the rules', (path, kind) => {
    expect(reasonsOf(read(path), kind)).toEqual([])
  })

  it('every query of the repos keeps those of Citus', () => {
    expect(reasonsOf(read('queries.sql'), 'queries')).toEqual([])
  })
})

/** One line a rule: of which kind, what is refused, for what reason, and how it is done instead. */
const rules: readonly [kind: ScriptKind, bad: string, reason: string, good: string][] = [
  [
    'tenant',
    'alter table {s}.users add column x text default 1',
    'ADD COLUMN … DEFAULT',
    'alter table {s}.users add column x text, alter column x set default 1',
  ],
  ['tenant', 'alter table {s}.users add x text not null', 'ADD COLUMN … NOT NULL', 'alter table {s}.users add x text'],
  [
    'platform',
    'alter table only platform.tenants add column x text unique',
    'ADD COLUMN with a constraint',
    'alter table platform.tenants add column x text',
  ],
  [
    'tenant',
    'alter table {s}.users add column n bigint generated always as identity',
    'made in CREATE TABLE',
    'create table {s}.x (n bigint generated always as identity)',
  ],
  [
    'tenant',
    'alter table {s}.users alter n add generated always as identity',
    'made in CREATE TABLE',
    'alter table {s}.users alter n drop not null',
  ],
  [
    'tenant',
    'alter table {s}.users add column a text, alter column b set data type text',
    'ALTER COLUMN … TYPE',
    'alter table {s}.users alter column b set default 1',
  ],
  ['tenant', 'alter table {s}.users alter b type text', 'ALTER COLUMN … TYPE', 'alter table {s}.users drop column b'],
  [
    'tenant',
    'alter table {s}.users alter b set not null',
    'SET NOT NULL',
    'alter table {s}.users add constraint b check (b is not null) not valid',
  ],
  [
    'platform',
    'alter table platform.t add constraint c check (b > 0)',
    'ADD CONSTRAINT',
    'alter table platform.t add constraint c check (b > 0) not valid',
  ],
  [
    'platform',
    'alter table platform.t add primary key (a)',
    'ADD CONSTRAINT',
    'alter table platform.t add constraint p primary key using index i',
  ],
  [
    'platform',
    'alter table platform.t add constraint c check (b > 0) not valid; alter table platform.t validate constraint c',
    'VALIDATE CONSTRAINT beside',
    'alter table platform.t validate constraint c',
  ],
  [
    'platform',
    'create index i on platform.tenants (a); select 1',
    'CREATE INDEX on a table that is in use',
    'create unique index i on platform.tenants (a)',
  ],
  [
    'platform',
    'create index i on platform.tenants (a); create table platform.x (a text)',
    'CREATE INDEX',
    'create table platform.x (a text); create index i on platform.x (a)',
  ],
  [
    'tenant',
    'create index concurrently i on {s}.users (a)',
    'CONCURRENTLY',
    'alter table {s}.users add a text; create index i on {s}.users (a)',
  ],
  [
    'platform',
    'grant select on all tables in schema platform to platform_app',
    'ON ALL … IN SCHEMA',
    'grant select on platform.a, platform.b to platform_app',
  ],
  ['tenant', 'create trigger t before insert on {s}.users execute function lib.f()', 'no triggers', 'select lib.f()'],
  ['platform', 'create table platform.x () inherits (platform.y)', 'INHERITS', 'create table platform.x partition of platform.y default'],
  [
    'tenant',
    'create table {s}.x (t text references platform.tenants)',
    "in a tenant's script",
    'create table {s}.x (t text references {s}.y)',
  ],
  [
    'platform',
    'create table platform.x (t text references {s}.users)',
    "not the platform's",
    'create table platform.x (t text references platform.y)',
  ],
  ['tenant', 'insert into {s}.x select * from platform.tenants', 'one statement touches', 'insert into {s}.x select * from {s}.y'],
  [
    'queries',
    'select * from "{s}"."users" u join platform.tenants t on true',
    'one statement touches',
    'select * from "{s}"."users" u join {s}.roles r on true',
  ],
  ['platform', 'create schema x create table y (a text)', 'no schema elements', 'create schema x'],
  ['tenant', 'create schema {s}', 'lib.make_tenant makes the schema', 'create table {s}.a (b text)'],
  ['platform', 'lock table platform.tenants in share mode', 'LOCK TABLE', 'select from platform.tenants for share'],
  ['queries', 'lock platform.tenants', 'LOCK TABLE', 'select a as lock from platform.tenants'],
  ['platform', 'vacuum platform.tenants', 'VACUUM', 'alter table platform.tenants set (autovacuum_vacuum_threshold = 1000)'],
  ['tenant', 'select 1; commit', 'the runner owns the transaction', 'select 1'],
  ['tenant', "set search_path = '{s}'", 'session state', "set local lock_timeout = '1s'"],
  ['tenant', 'do $$ begin null; end $$', 'code lives in lib', 'select lib.f()'],
  ['tenant', 'create table users (a text)', 'users without its schema', 'create table {s}.users (a text)'],
  [
    'platform',
    'select 1;\ninsert into tenants select * from platform.old',
    'tenants without its schema',
    'insert into platform.tenants select * from platform.old',
  ],
  ['platform', 'update tenants set a = 1', 'tenants without its schema', 'update platform.tenants set a = 1'],
  ['platform', 'delete from platform.a using b where true', 'b without its schema', 'delete from platform.a using platform.b where true'],
  [
    'platform',
    'with w as (select from roles) select from w',
    'roles without its schema',
    'with w as (select from platform.roles) select from w',
  ],
  [
    'platform',
    'grant select on platform.a, b to platform_app',
    'b without its schema',
    "grant update on platform.a to platform_app; select 'from b' -- from b",
  ],
  [
    'platform',
    'create function lib.f() returns void language sql as $$\n delete from x $$',
    'x without its schema',
    'create function lib.f() returns void language sql as $$ delete from platform.x $$',
  ],
  ['platform', 'drop table if exists x', 'x without its schema', 'drop table if exists platform.x'],
  [
    'tenant',
    'create table {s}.x (n integer generated always as identity, b text)',
    'identity columns are bigint',
    'create table {s}.x (b numeric(4, 2), n bigint generated by default as identity)',
  ],
  ['tenant', 'create table {s}.x (n serial)', 'identity columns are bigint', 'create table {s}.x (n bigint)'],
  ...['clock_timestamp', 'random', 'gen_random_uuid'].map(
    (call) =>
      ['queries', `update platform.t set a = ${call}()`, `${call}() in UPDATE`, `insert into platform.t values (${call}())`] as [
        ScriptKind,
        string,
        string,
        string,
      ],
  ),
  [
    'tenant',
    'with w as (update {s}.t set a = clock_timestamp() returning 1) select 1',
    'in UPDATE',
    'with w as (update {s}.t set a = now() returning 1) insert into {s}.u select clock_timestamp()',
  ],
  [
    'queries',
    'insert into platform.t values (1) on conflict (a) do update set b = random()',
    'in UPDATE',
    'insert into platform.t values (1) on conflict (a) do update set b = now()',
  ],
  ['queries', 'insert into platform.t values (1) returning now()', 'in RETURNING', 'insert into platform.t values (now()) returning a'],
  [
    'queries',
    'merge into platform.t using platform.u on true when matched then delete',
    'MERGE',
    'insert into platform.t values (1) on conflict do nothing',
  ],
]

describe('the checker', () => {
  it.each(rules)('%s: %s → %s', (kind, bad, reason, good) => {
    expect(reasonsOf(bad, kind).join('\n')).toContain(reason)
    expect(reasonsOf(good, kind)).toEqual([])
  })

  it('names the line, past comments, strings and bodies', () => {
    const script = `-- alter table x;
create table {s}.a (b text default 'it''s; update x');
/* ;
 */
create function lib.f() returns void language plpgsql as $f$ begin
  update c set d = 1;
end $f$;
alter table {s}.a
  add c text,
  add d text default '(,';
`
    expect(reasonsOf(script, 'tenant')).toEqual([
      expect.stringMatching(/^5: code lives in lib/),
      expect.stringMatching(/^5: lib\.f in a tenant's script/),
      '6: c without its schema',
      expect.stringMatching(/^10: ADD COLUMN … DEFAULT/),
    ])
  })
})
