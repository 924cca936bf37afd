import type pg from 'pg'
import { type Logins, quoted, setupSql } from './setup.js'

/** A superuser must act before `migrate` can go on. */
export class SetupMissing extends Error {
  override readonly name = 'SetupMissing'
  readonly sql: string
  constructor(problem: string, sql: string) {
    super(problem)
    this.sql = sql
  }
}

/** What the database says where the migrator's login is missing, has another password, or may not come in. */
const loginRefusals = new Set(['28P01', '28000', '42501'])

/** The failure of the migrator's login as what a superuser can do about it; any other stays as it is. */
export function loginFailure(err: unknown, logins: Logins, database: string): unknown {
  if (!loginRefusals.has((err as { code?: string }).code ?? '')) return err
  return new SetupMissing(`the login ${logins.migrator} is refused: ${(err as Error).message}`, setupSql(logins, database))
}

/** Refuses logins that are missing, could inherit rights or are superusers; warns where set_config may be called by anybody. */
export async function checkLogins(client: pg.Client, logins: Logins, log: (line: string) => void): Promise<void> {
  const { rows: here } = await client.query(`select current_database() as database, current_user as role, session_user as login,
    pg_get_userbyid(datdba) as owner, has_function_privilege('pg_catalog.set_config(text, text, boolean)', 'execute') as configures,
    has_function_privilege('public', 'pg_catalog.set_config(text, text, boolean)', 'execute') as all_configure
    from pg_database where datname = current_database()`)
  const { database, role: acting, login, owner, configures, all_configure } = here[0]
  const missing = (problem: string) => new SetupMissing(problem, setupSql(logins, database))
  const names = Object.values(logins)
  const { rows } = await client.query(
    'select rolname, rolsuper, rolinherit, rolcreaterole, rolbypassrls, rolcanlogin from pg_roles where rolname = any ($1)',
    [names],
  )
  for (const name of names) {
    const role = rows.find(({ rolname }) => rolname === name)
    if (!role?.rolcanlogin) throw missing(`the login ${name} does not exist`)
    if (role.rolsuper || role.rolbypassrls) throw missing(`the login ${name} is a superuser or bypasses row security`)
    if (role.rolinherit || role.rolcreaterole) throw missing(`the login ${name} inherits, or may create roles`)
  }
  if (new Set(names).size < names.length) throw missing('app, migrator, relay and retention need a login each')
  if (acting !== 'platform_owner') throw missing(`${login} does not act as platform_owner`)
  if (owner !== 'platform_owner') throw missing(`the database ${database} belongs to ${owner}, not to platform_owner`)
  if (!configures) throw missing('platform_owner may not call set_config')
  if (all_configure) log('warning: everybody may call set_config; revoke it where the database lets you')
}

const groups = { app: 'platform_app', relay: 'platform_relay', retention: 'platform_retention' } as const
const search = { search_path: 'pg_catalog, pg_temp' }
/** As PostgreSQL spells their names. */
const serving = {
  ...search,
  TimeZone: 'UTC',
  lock_timeout: '2s',
  idle_in_transaction_session_timeout: '5s',
  statement_timeout: '10s',
  client_connection_check_interval: '1s',
  tcp_user_timeout: '10s',
}

/**
 * Memberships and settings of the logins; they hold for new sessions. Only what is missing is written: any GRANT in the cluster empties
 * every connection's cache of memberships, and roles are every database's.
 */
export async function grantLogins(client: pg.Client, logins: Logins): Promise<void> {
  const { rows } = await client.query<{ name: string; groups: string[]; settings: string[] }>(
    `select r.rolname as name, array(select g.rolname::text from pg_auth_members a join pg_roles g on g.oid = a.roleid where a.member = r.oid) as groups,
      coalesce((select s.setconfig from pg_db_role_setting s where s.setrole = r.oid and s.setdatabase = 0), '{}') as settings
    from pg_roles r where r.rolname = any ($1)`,
    [Object.values(logins)],
  )
  for (const kind of ['app', 'relay', 'retention', 'migrator'] as const) {
    const found = rows.find(({ name }) => name === logins[kind])
    const login = quoted(logins[kind])
    if (kind !== 'migrator' && !found?.groups.includes(groups[kind])) await client.query(`grant ${groups[kind]} to ${login}`)
    for (const [name, value] of Object.entries(kind === 'migrator' ? search : serving)) {
      if (found?.settings.includes(`${name}=${value}`)) continue
      await client.query(`alter role ${login} set ${name} = ${name === 'search_path' ? value : `'${value}'`}`)
    }
  }
}
