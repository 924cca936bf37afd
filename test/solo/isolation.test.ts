import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listSchema } from '../../server/db/catalogue.js'
import { openPool } from '../../server/db/pool.js'
import { tenantVersion } from '../../server/db/scripts.js'
import { onboard } from '../support/rpc.js'
import { type Solo, startSolo } from '../support/solo.js'

const logins = ['app', 'migrator', 'relay', 'retention'] as const
type Login = (typeof logins)[number]
let solo: Solo
const pools = {} as Record<Login, pg.Pool>
const tenants: string[] = []

beforeAll(async () => {
  solo = await startSolo()
  for (const login of logins) pools[login] = openPool({ url: solo.database.urls[login], max: 1 })
  for (let nth = 0; nth < 5; nth++) tenants.push((await onboard(solo.clients)).id)
})
afterAll(async () => {
  await Promise.all(Object.values(pools).map((pool) => pool.end()))
  await solo?.stop()
})

const schemaName = (id: string) => `t_${id.slice(4)}`
const all = async (text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> =>
  (await solo.superuser.query(text, values)).rows
const column = async (text: string, values: unknown[] = []) => (await all(text, values)).map((row) => Object.values(row)[0])
const tablesOf = (like: string) =>
  column(
    `select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm') and n.nspname like $1 order by 1`,
    [like],
  ) as Promise<string[]>

/** One transaction that is rolled back. @returns the SQLSTATE of the first failure, '' if all went well */
async function attempt(login: Login, role: string | undefined, ...texts: string[]): Promise<string> {
  const client = await pools[login].connect()
  try {
    await client.query('begin')
    if (role) await client.query(`set local role ${role}`)
    for (const text of texts) await client.query(text)
    return ''
  } catch (err) {
    return (err as { code?: string }).code ?? String(err)
  } finally {
    await client.query('rollback')
    client.release()
  }
}

/** How many of the tables answer each of the ways to touch them with each SQLSTATE. */
async function touchAll(tables: readonly string[], login: Login, role?: string) {
  const answers: Record<string, number> = {}
  for (const table of tables) {
    for (const text of [`select from ${table}`, `delete from ${table}`, `insert into ${table} default values`, `lock table ${table}`]) {
      const state = await attempt(login, role, text)
      answers[state] = (answers[state] ?? 0) + 1
    }
  }
  return answers
}

describe('the logins', () => {
  it('C-017 C-090 no serving login is more than a member, and none of them owns or was granted anything itself', async () => {
    const attributes = await all(
      `select rolname, rolsuper or rolinherit or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication as more, rolcanlogin as login
       from pg_roles where rolname = any ($1) order by 1`,
      [logins],
    )
    expect(attributes).toEqual([...logins].sort().map((rolname) => ({ rolname, more: false, login: true })))
    // 'o' owns, 'a' stands in a grant; of any object in any database of the cluster, databases included
    const depends = await all(
      `select r.rolname, d.classid::regclass::text as what, d.deptype from pg_shdepend d join pg_roles r on r.oid = d.refobjid
       where d.refclassid = 'pg_authid'::regclass and r.rolname = any ($1)`,
      [logins],
    )
    expect(depends).toEqual([])
  })

  it('C-090 each is a member of its group alone, the app of the tenants besides; nobody may pass it on; groups are members of nothing', async () => {
    const members = await all(
      `select distinct m.rolname as member, case when g.rolname ~ '^t_[0-9a-z]{26}$' then 't_…' else g.rolname end as role, a.admin_option
       from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles g on g.oid = a.roleid where m.rolname not like 'pg\\_%' order by 1, 2`,
    )
    expect(members.filter(({ member }) => member !== 'platform_owner')).toEqual([
      { member: 'app', role: 'platform_app', admin_option: false },
      { member: 'app', role: 't_…', admin_option: false },
      { member: 'migrator', role: 'platform_owner', admin_option: false },
      { member: 'relay', role: 'platform_relay', admin_option: false },
      { member: 'retention', role: 'platform_retention', admin_option: false },
    ])
    expect(members.filter(({ member }) => member === 'platform_owner')).toEqual([])
    const powerful = await column(
      `select rolname from pg_roles where (rolcreaterole or rolsuper or rolbypassrls) and rolname not like 'pg\\_%' and oid <> 10 order by 1`,
    )
    expect(powerful).toEqual(['platform_owner'])
    expect(
      await column(`select rolcanlogin from pg_roles where rolname like 'platform\\_%' or rolname ~ '^t_[0-9a-z]{26}$' group by 1`),
    ).toEqual([false])
  })

  it('C-017 PUBLIC and the serving groups may create nothing: no schema, no temporary table, nothing inside a schema', async () => {
    const creators = await column(
      `select 'schema ' || nspname || ' ' || coalesce(r.rolname, 'public') from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a
         left join pg_roles r on r.oid = a.grantee where a.privilege_type = 'CREATE' and a.grantee <> nspowner
       union all select 'database ' || coalesce(r.rolname, 'public') from pg_database d, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
         left join pg_roles r on r.oid = a.grantee where d.datname = current_database() and a.privilege_type <> 'CONNECT' and a.grantee <> datdba`,
    )
    expect(creators).toEqual([])
    for (const role of [undefined, 'platform_app', schemaName(tenants[0]!)]) {
      const schemas = ['public', 'platform', 'lib', schemaName(tenants[0]!), 'pg_temp']
      for (const schema of schemas)
        expect(await attempt('app', role, `create table ${schema}.mine (n integer)`), `${role} in ${schema}`).toBe('42501')
      expect(await attempt('app', role, 'create schema mine')).toBe('42501')
      expect(await attempt('app', role, 'create role mine')).toBe('42501')
    }
  })

  it('C-019 search_path is pinned for every login, and by every SECURITY DEFINER function; PUBLIC may call one function', async () => {
    for (const login of logins) {
      expect((await pools[login].query('show search_path')).rows).toEqual([{ search_path: 'pg_catalog, pg_temp' }])
      const stored = `select s.setconfig from pg_db_role_setting s join pg_roles r on r.oid = s.setrole where r.rolname = $1 and s.setdatabase = 0`
      expect((await column(stored, [login]))[0]).toContain('search_path=pg_catalog, pg_temp')
    }
    const definers = await all(
      `select p.oid::regprocedure::text as name, 'search_path=pg_catalog, pg_temp' = any (coalesce(proconfig, '{}')) as pinned, pg_get_userbyid(proowner) as owner
       from pg_proc p where prosecdef order by 1`,
    )
    expect(definers.map(({ name }) => String(name).replace(/\(.*/, ''))).toEqual([
      'lib.drop_event_partitions',
      'lib.drop_tenant_role',
      'lib.drop_tenant_schema',
      'lib.event_weeks_ahead',
      'lib.make_event_partitions',
      'lib.make_tenant',
    ])
    expect(definers.filter(({ pinned, owner }) => !pinned || owner !== 'platform_owner')).toEqual([])
    const open = `select p.oid::regproc::text from pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
      where a.grantee = 0 and pronamespace::regnamespace::text not in ('pg_catalog', 'information_schema')`
    expect(await column(open)).toEqual(['lib.require_rows'])
  })

  it('the settings that bound a statement, a lock and a forgotten transaction hold for each serving login', async () => {
    const names = `'timezone','lock_timeout','idle_in_transaction_session_timeout','statement_timeout','client_connection_check_interval','tcp_user_timeout'`
    for (const login of ['app', 'relay', 'retention'] as const) {
      const { rows } = await pools[login].query(
        `select lower(name) as name, current_setting(name) as value from pg_settings where lower(name) in (${names})`,
      )
      expect(Object.fromEntries(rows.map(({ name, value }) => [name, value]))).toMatchObject({
        timezone: 'UTC',
        lock_timeout: '2s',
        idle_in_transaction_session_timeout: '5s',
        statement_timeout: '10s',
        client_connection_check_interval: '1s',
      })
    }
  })
})

describe('the roles', () => {
  it('C-018 a transaction that took no role gets nothing: 42501 for all tables, of the platform and of all tenants', async () => {
    const tables = [...(await tablesOf('platform')), ...(await tablesOf('t\\_%'))]
    expect(tables.length).toBeGreaterThan(tenants.length * 4 + 15)
    for (const login of ['app', 'relay', 'retention'] as const)
      expect(await touchAll(tables, login)).toEqual({ '42501': tables.length * 4 })
  })

  it("C-018 a tenant's role reads no table of the platform and none of another tenant; the platform's none of a tenant", async () => {
    const [one, other] = tenants.map(schemaName) as [string, string]
    const foreign = [...(await tablesOf('platform')), ...(await tablesOf(other))]
    expect(await touchAll(foreign, 'app', one)).toEqual({ '42501': foreign.length * 4 })
    const own = await tablesOf('t\\_%')
    for (const [login, role] of [
      ['app', 'platform_app'],
      ['relay', 'platform_relay'],
      ['retention', 'platform_retention'],
    ] as const)
      expect(await touchAll(own, login, role)).toEqual({ '42501': own.length * 4 })
    for (const call of [
      `platform.access('', '', '0')`,
      `platform.claim('', '', '', '', '')`,
      `lib.make_tenant('x')`,
      `lib.drop_tenant_schema('x')`,
    ])
      expect(await attempt('app', one, `select ${call}`)).toBe('42501')
  })

  it("C-090 the relay's and retention's logins take no role but their own, and run no function of the others", async () => {
    const one = schemaName(tenants[0]!)
    const roles = ['platform_owner', 'platform_app', 'platform_relay', 'platform_retention', 'platform_auditor', one]
    for (const [login, own] of [
      ['relay', ['platform_relay']],
      ['retention', ['platform_retention']],
      ['app', ['platform_app', one]],
    ] as const)
      for (const role of roles)
        expect(await attempt(login, role), `${login} as ${role}`).toBe((own as readonly string[]).includes(role) ? '' : '42501')
    const functions = [
      "lib.make_tenant('x')",
      "lib.drop_tenant_role('x')",
      'lib.make_event_partitions(1)',
      'lib.drop_event_partitions(400)',
    ]
    expect(await Promise.all(functions.map((text) => attempt('relay', 'platform_relay', `select ${text}`)))).toEqual(
      functions.map(() => '42501'),
    )
    const retention = []
    for (const text of functions) retention.push(await attempt('retention', 'platform_retention', `select ${text}`))
    expect(retention).toEqual(['42501', '42501', '', ''])
  })

  it('C-090 what each group may do with the tables of the platform, to the letter', async () => {
    const grants = await all(
      `select g.rolname as role, c.relname || ': ' || string_agg(lower(a.privilege_type), ' ' order by a.privilege_type) as may
       from pg_class c, aclexplode(c.relacl) a join pg_roles g on g.oid = a.grantee
       where c.relnamespace = 'platform'::regnamespace and g.rolname in ('platform_relay', 'platform_retention') group by 1, c.relname order by 1, 2`,
    )
    const of = (role: string) => grants.filter((row) => row['role'] === role).map(({ may }) => may)
    const ofRelay = 'dead_letters: insert select, events: select, leases: insert select update, redrives: delete select'
    expect(of('platform_relay').join(', ')).toBe(
      `${ofRelay}, relay_positions: insert select update, replays: select update, tenant_counters: select`,
    )
    const retention = ['idempotency_keys: delete select', 'leases: insert select update', 'purges: select', 'sealed_answers: delete select']
    expect(of('platform_retention')).toEqual(retention)
    const never = `select c.relname from pg_class c, aclexplode(c.relacl) a join pg_roles g on g.oid = a.grantee where g.rolname = 'platform_app'
      and a.privilege_type in ('DELETE', 'UPDATE', 'TRUNCATE') and c.relname in ('events', 'platform_audit', 'schema_versions')`
    expect(await column(never)).toEqual([])
  })
})

describe('the functions that make and drop a tenant', () => {
  const bad = [
    null,
    '',
    'platform',
    'tnt_',
    'tnt_x',
    `tnt_${'A'.repeat(26)}`,
    `tnt_${'a'.repeat(27)}`,
    `x\ntnt_${'a'.repeat(26)}`,
    `tnt_${'a'.repeat(25)}"`,
    `tnt_${'a'.repeat(26)}\n`,
  ]
  const literal = (text: string | null | undefined) => (text === null || text === undefined ? 'null' : `'${text.replaceAll("'", "''")}'`)
  const as = (text: string) => attempt('app', 'platform_app', text)

  it('refuse what is no name of a tenant, and a tenant that is not registered; nothing is left', async () => {
    const before = await column('select rolname from pg_roles order by 1')
    for (const name of bad) {
      expect(await as(`select lib.make_tenant(${literal(name)})`), String(name)).toBe('22023')
      expect(await as(`select lib.drop_tenant_schema(${literal(name)})`), String(name)).toBe('42501')
      expect(await as(`select lib.drop_tenant_role(${literal(name)})`), String(name)).toBe('42501')
    }
    expect(await as(`select lib.make_tenant('tnt_${'z'.repeat(26)}')`)).toBe('TX404')
    expect(await as(`select lib.make_tenant(${literal(tenants[0])})`)).toBe('42710')
    expect(await column('select rolname from pg_roles order by 1')).toEqual(before)
  })

  it('drop nothing but a tenant that is deleted and marked for purge', async () => {
    const id = tenants[4]!
    const drops = [`select lib.drop_tenant_schema('${id}')`, `select lib.drop_tenant_role('${id}')`]
    for (const set of ['', 'purge_start_time = now()', 'delete_time = now()', 'suspend_time = now(), purge_start_time = now()']) {
      const state = set === '' ? 'select 1' : `update platform.tenants set ${set} where id = '${id}'`
      for (const drop of drops) expect(await attempt('app', 'platform_app', state, drop), set).toBe('42501')
    }
    const marked = `update platform.tenants set delete_time = now(), purge_start_time = now() where id = '${id}'`
    expect(await attempt('app', 'platform_app', marked, ...drops)).toBe('')
    expect(await attempt('app', 'platform_app', marked, drops[1]!)).toBe('2BP01')
    expect(await column('select count(*)::int from pg_namespace where nspname = $1', [schemaName(id)])).toEqual([1])
  })
})

it('C-022 all tenants of one version have one catalogue, whose every part counts', async () => {
  const list = (id: string) => listSchema(solo.superuser as never, schemaName(id))
  const [first, ...rest] = await Promise.all(tenants.map(list))
  expect(first!.length).toBeGreaterThan(40)
  for (const other of rest) expect(other).toEqual(first)
  expect(await column('select distinct schema_version from platform.tenants')).toEqual([tenantVersion])
  const schema = schemaName(tenants[4]!)
  for (const change of [
    `alter table ${schema}.roles add column extra text`,
    `alter table ${schema}.roles alter column system drop not null`,
    `alter table ${schema}.roles alter column description set default ''`,
    `alter table ${schema}.invitations drop constraint invitations_pkey`,
    `create index extra on ${schema}.invitations (email)`,
    `grant update on ${schema}.audit_entries to ${schema}`,
    `grant usage on schema ${schema} to platform_app`,
    `alter table ${schema}.roles owner to ${schema}`,
  ]) {
    const client = await solo.superuser.connect()
    await client.query(`begin; ${change}`)
    expect(await listSchema(client, schema), change).not.toEqual(first)
    await client.query('rollback')
    client.release()
  }
})
