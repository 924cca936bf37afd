import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { SetupMissing } from '../../server/db/logins.js'
import { migrateAs } from '../../server/db/migrate.command.js'
import { platformScripts } from '../../server/db/scripts.js'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import { connect } from '../support/client.js'
import { urlIn } from '../support/databases.js'
import { newDatabase, type OwnDatabase, onboard, over, ownCluster, poolOf, printedSql } from '../support/own-database.js'
import { begin, serverProgram } from '../support/starting.js'

ownCluster()

const platformRuns = platformScripts.map(({ version }) => `platform ${String(version).padStart(4, '0')}: Success\n`).join('')

describe('a database that a superuser must prepare', () => {
  let database: OwnDatabase
  it('migrate prints what a superuser must run, also for a wrong password; then it works, and a second run writes nothing', async () => {
    database = await newDatabase('prepared')
    const before = await database.migrate()
    expect(before).toMatchObject({
      code: 1,
      output: expect.stringContaining('the login prepared_migrator is refused: password authentication failed'),
    })
    expect(before.output).not.toMatch(/Z\dt3vK9mXw2/)
    const sql = printedSql(before.output)
    // whoever forgets to put the passwords in makes no login
    await expect(database.superuser.query(sql)).rejects.toMatchObject({ code: '42601' })
    await database.fillIn(sql)
    const wrong = urlIn(database.urls.migrator, 'prepared', { user: 'prepared_migrator', password: 'another' })
    const refused = await database.migrate(serverProgram, { MIGRATOR_DATABASE_URL: wrong })
    expect([refused.code, printedSql(refused.output)]).toEqual([1, sql])

    const unmigrated = await over(begin(database.serving))
    expect(unmigrated).toMatchObject({
      code: 1,
      output: expect.stringContaining('the database was not migrated, or not for the login of DATABASE_URL: run `migrate` first'),
    })
    expect(await database.migrate()).toEqual({ code: 0, output: `${platformRuns}the database is up to date\n` })
    const written = () =>
      database.superuser.query(`select 'setting', xmin::text from pg_db_role_setting union all select 'member', xmin::text from pg_auth_members
        union all select 'role', xmin::text from pg_authid union all select 'script', xmin::text from platform.schema_versions
        union all select relname, xmin::text from pg_class where relnamespace = 'platform'::regnamespace order by 1, 2`)
    const { rows } = await written()
    expect(await database.migrate()).toEqual({ code: 0, output: 'the database is up to date\n' })
    expect((await written()).rows).toEqual(rows)
    // what it printed mends, too: run once more it changes nothing that hurts
    await database.fillIn(sql)
    expect(await database.migrate()).toMatchObject({ code: 0 })
  })

  it('the catalogue says what was set up: settings by ALTER ROLE, no inherited right, no set_config', async () => {
    const { rows } = await database.superuser.query(`select r.rolname, coalesce(s.setconfig, '{}') as settings,
        array(select g.rolname::text from pg_auth_members a join pg_roles g on g.oid = a.roleid where a.member = r.oid order by 1) as groups,
        rolcanlogin and not (rolsuper or rolinherit or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls) as plain
      from pg_roles r left join pg_db_role_setting s on s.setrole = r.oid and s.setdatabase = 0 where r.rolname like 'prepared_%' order by 1`)
    const serving = [
      'search_path=pg_catalog, pg_temp',
      'TimeZone=UTC',
      'lock_timeout=2s',
      'idle_in_transaction_session_timeout=5s',
      'statement_timeout=10s',
      'client_connection_check_interval=1s',
      'tcp_user_timeout=10s',
    ]
    expect(rows).toEqual([
      { rolname: 'prepared_app', settings: serving, groups: ['platform_app'], plain: true },
      {
        rolname: 'prepared_migrator',
        settings: ['role=platform_owner', 'search_path=pg_catalog, pg_temp'],
        groups: ['platform_owner'],
        plain: true,
      },
      { rolname: 'prepared_relay', settings: serving, groups: ['platform_relay'], plain: true },
      { rolname: 'prepared_retention', settings: serving, groups: ['platform_retention'], plain: true },
    ])
    const { rows: facts } = await database.superuser.query(`select pg_get_userbyid(datdba) as owner,
      has_function_privilege('prepared_app', 'set_config(text, text, boolean)', 'execute') as configures,
      (select rolcreaterole and not rolcanlogin and not rolsuper from pg_roles where rolname = 'platform_owner') as owns
      from pg_database where datname = current_database()`)
    expect(facts).toEqual([{ owner: 'platform_owner', configures: false, owns: true }])
    const app = poolOf(database.urls.app)
    expect((await app.query("select current_setting('search_path') as path, current_setting('lock_timeout') as wait")).rows).toEqual([
      { path: 'pg_catalog, pg_temp', wait: '2s' },
    ])
  })

  it.each([
    ['inherits', 'alter role prepared_app inherit', 'alter role prepared_app noinherit', 'the login prepared_app inherits'],
    [
      'is a superuser',
      'alter role prepared_relay superuser',
      'alter role prepared_relay nosuperuser',
      'the login prepared_relay is a superuser',
    ],
    [
      'may make roles',
      'alter role prepared_app createrole',
      'alter role prepared_app nocreaterole',
      'the login prepared_app inherits, or may create roles',
    ],
    [
      'is missing',
      'alter role prepared_relay rename to r',
      'alter role r rename to prepared_relay',
      'the login prepared_relay does not exist',
    ],
    [
      'does not act as the owner',
      'alter role prepared_migrator reset role',
      'alter role prepared_migrator set role = platform_owner',
      'does not act as platform_owner',
    ],
    [
      "the owner's database is another's",
      'alter database prepared owner to postgres',
      'alter database prepared owner to platform_owner',
      'the database prepared belongs to postgres',
    ],
  ])('migrate refuses a login that %s, and prints the SQL', async (_, spoil, mend, text) => {
    await database.superuser.query(spoil)
    const refused = await migrateAs(database.urls, undefined, () => {}).catch((err: SetupMissing) => err)
    await database.superuser.query(mend)
    expect(refused).toMatchObject({
      name: 'SetupMissing',
      message: expect.stringContaining(text),
      sql: expect.stringContaining('create role "prepared_app"'),
    })
  })

  it('a set_config that everybody may call, as on a managed PostgreSQL, is a warning', async () => {
    await database.superuser.query('grant execute on function set_config(text, text, boolean) to public')
    const warned = await database.migrate()
    await database.superuser.query('revoke execute on function set_config(text, text, boolean) from public')
    expect(warned.code).toBe(0)
    expect(warned.output).toContain('warning: everybody may call set_config')
  })

  it('C-095 production serves with secrets drawn at random, prints neither key nor banner, and shows no reflection', async () => {
    const key = makePlatformKey()
    const env = {
      ...database.serving,
      NODE_ENV: 'production',
      BOOTSTRAP_API_KEY: key,
      REDIS_URL: `redis://:${randomBytes(16).toString('hex')}@127.0.0.1:1`,
      KAFKA_BROKERS: '127.0.0.1:1',
      ...{ DATABASE_TLS: 'disable', REDIS_TLS: 'disable', KAFKA_TLS: 'disable', GRPC_TLS: 'disable', DRAIN_PAUSE_MS: '0' },
    }
    const owner = await over(begin({ ...env, ...database.migrator }))
    expect(owner).toMatchObject({
      code: 78,
      output: expect.stringContaining('MIGRATOR_DATABASE_URL must not be set where `serve` runs in production'),
    })
    const server = await begin(env).ready()
    const lines = server
      .output()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const { grpc_port: port } = lines.find(({ msg }) => msg === 'ready')
    expect(server.output()).not.toMatch(/ck_|CUSTOMER_API_KEY|first call/)
    const clients = connect(`127.0.0.1:${port}`, key)
    expect(await clients.tenants.listTenants({})).toMatchObject({ tenants: [] })
    clients.close()
    const reflected = await over(
      begin(
        {},
        { program: ['npx', 'buf', 'curl', '--protocol', 'grpc', '--http2-prior-knowledge', '--list-services', `http://127.0.0.1:${port}`] },
      ),
    )
    expect(reflected).toMatchObject({ code: 1, output: expect.stringMatching(/reflection|unimplemented/i) })
    expect(await server.kill('SIGTERM')).toBe(0)
  })
})

it('five replicas that start at once on an empty database take turns, and all become ready', async () => {
  const database = await newDatabase('five')
  await database.fillIn(printedSql((await database.migrate()).output))
  const replicas = await Promise.all(Array.from({ length: 5 }, () => begin({ ...database.serving, ...database.migrator }).ready()))
  expect(replicas.filter((each) => each.output().includes('platform 0001: Success'))).toHaveLength(1)
  const keys = new Set(replicas.map((each) => each.key()))
  expect([...keys]).toEqual([database.serving.BOOTSTRAP_API_KEY])
  const tenant = await onboard(replicas[4]!, database.serving.BOOTSTRAP_API_KEY, 'five')
  expect(tenant.slug).toBe('five')
})
