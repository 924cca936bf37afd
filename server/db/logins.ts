import type pg from 'pg'
import { type Logins, setupSql } from './setup.js'

/** A superuser must act before `migrate` can go on. */
export class SetupMissing extends Error {
  override readonly name = 'SetupMissing'
  readonly sql: string
  constructor(problem: string, sql: string) {
    super(problem)
    this.sql = sql
  }
}

/** Refuses logins that are missing, could inherit rights or are superusers; warns where set_config may be called by anybody. */
export async function checkLogins(client: pg.Client, logins: Logins, log: (line: string) => void): Promise<void> {
  const { rows: here } = await client.query('select current_database() as database, current_user as role, session_user as login')
  const setup = setupSql(logins, here[0].database)
  if (here[0].role !== 'platform_owner') throw new SetupMissing(`${here[0].login} does not act as platform_owner`, setup)
  const names = Object.values(logins)
  const { rows } = await client.query(
    'select rolname, rolsuper, rolinherit, rolcreaterole, rolbypassrls from pg_roles where rolname = any ($1)',
    [names],
  )
  for (const name of names) {
    const role = rows.find(({ rolname }) => rolname === name)
    if (!role) throw new SetupMissing(`the login ${name} does not exist`, setup)
    if (role.rolsuper || role.rolbypassrls) throw new SetupMissing(`the login ${name} is a superuser or bypasses row security`, setup)
    if (role.rolinherit || role.rolcreaterole) throw new SetupMissing(`the login ${name} inherits, or may create roles`, setup)
  }
  if (new Set(names).size < names.length) throw new SetupMissing('app, migrator, relay and retention need a login each', setup)
  const { rows: open } = await client.query(`select from information_schema.role_routine_grants
    where routine_schema = 'pg_catalog' and routine_name = 'set_config' and grantee = 'PUBLIC'`)
  if (open.length > 0) log('warning: everybody may call set_config; revoke it where the database lets you')
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** Memberships and settings of the logins; they hold for new sessions. */
export async function grantLogins(client: pg.Client, logins: Logins): Promise<void> {
  const groups = { app: 'platform_app', relay: 'platform_relay', retention: 'platform_retention' } as const
  const { rows: done } = await client.query(
    `select m.rolname || ' ' || g.rolname as pair from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles g on g.oid = a.roleid
    where m.rolname = any ($1)`,
    [Object.values(logins)],
  )
  for (const kind of ['app', 'relay', 'retention'] as const) {
    const login = quoted(logins[kind])
    // Any GRANT in the cluster empties every connection's cache of memberships: only where it is missing.
    if (!done.some(({ pair }) => pair === `${logins[kind]} ${groups[kind]}`)) await client.query(`grant ${groups[kind]} to ${login}`)
    for (const setting of [
      'search_path = pg_catalog, pg_temp',
      "timezone = 'UTC'",
      "lock_timeout = '2s'",
      "idle_in_transaction_session_timeout = '5s'",
      "statement_timeout = '10s'",
      "client_connection_check_interval = '1s'",
      "tcp_user_timeout = '10s'",
    ]) {
      await client.query(`alter role ${login} set ${setting}`)
    }
  }
  await client.query(`alter role ${quoted(logins.migrator)} set search_path = pg_catalog, pg_temp`)
}
