import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { listSchema } from '../../server/db/catalogue.js'
import { platformVersion, tenantScripts, tenantVersion } from '../../server/db/scripts.js'
import { connect } from '../support/client.js'
import { migrated, newDatabase, onboard, over, ownCluster, printedSql, withScripts } from '../support/own-database.js'
import { begin, repo } from '../support/starting.js'
import { until } from '../support/until.js'

ownCluster()

const file = (version: number) => `tenant/${String(version).padStart(4, '0')}.sql`
const [is, newest] = [tenantVersion, tenantVersion + 1]
const next = { [file(newest)]: 'alter table {s}.roles add column note varchar(10);' }

it('a tenant script that changed after it was applied is refused', async () => {
  const database = await migrated('changed')
  const script = await readFile(join(repo, 'server/db/migrations/tenant/0001.sql'), 'utf8')
  const lineEnds = await withScripts({ 'tenant/0001.sql': script.replaceAll('\n', '\r\n') })
  expect(await database.migrate(lineEnds)).toMatchObject({ code: 0 })
  const changed = await withScripts({ 'tenant/0001.sql': `${script}-- later` })
  expect(await database.migrate(changed)).toMatchObject({
    code: 1,
    output: expect.stringContaining('tenant script 1 differs from the one that was applied'),
  })
})

it('tenants one version behind are brought up, also where one is busy; the older server serves on, and two apart it refuses', async () => {
  const database = await migrated('fleet')
  const { superuser, serving } = database
  const key = serving.BOOTSTRAP_API_KEY
  const older = await begin(serving).ready()
  const tenants = [await onboard(older, key, 'one'), await onboard(older, key, 'two')]
  const newer = await withScripts(next)

  // a newer server tolerates the older database
  expect(await (await begin(serving, { program: newer }).ready()).kill('SIGTERM')).toBe(0)

  const busy = await superuser.connect()
  const schema = `t_${tenants[0]!.id.slice(4)}`
  await busy.query(`begin; lock table ${schema}.roles in access share mode`)
  const run = database.migrate(newer)
  await until(
    async () => (await superuser.query("select from pg_stat_activity where usename = 'fleet_migrator' and query = 'rollback'")).rowCount,
    { timeoutMs: 20_000 },
  )
  await busy.query('rollback')
  busy.release()
  expect(await run).toEqual({ code: 0, output: `2 tenant schema(s) brought to version ${newest}\nthe database is up to date\n` })
  const columns = async (id: string) => {
    const { rows } = await superuser.query(
      "select count(*)::integer as n from pg_attribute where attrelid = $1::regclass and attname = 'note'",
      [`t_${id.slice(4)}.roles`],
    )
    return rows[0].n
  }
  tenants.push(await onboard(older, key, 'three'))
  for (const { id } of tenants) expect(await columns(id), id).toBe(1)
  const { rows } = await superuser.query('select distinct schema_version from platform.tenants')
  expect(rows).toEqual([{ schema_version: newest }])

  // one apart: the older code starts, and its migrate leaves all as it is
  await older.kill('SIGTERM')
  expect(await (await begin({ ...serving, ...database.migrator }).ready()).kill('SIGTERM')).toBe(0)
  expect(await database.migrate()).toMatchObject({ code: 0 })
  // two apart, either way
  const two = (what: string, has: number, is: number) =>
    `the database's ${what} at version ${has}, this server is of version ${is}: more than one apart`
  await superuser.query(`insert into platform.schema_versions (version, checksum, sql) values (${is + 2}, '', '')`)
  expect(await over(begin(serving))).toMatchObject({ code: 1, output: expect.stringContaining(two('tenant schemas stand', is + 2, is)) })
  expect(await database.migrate()).toMatchObject({ code: 1, output: expect.stringContaining(two('tenant schemas stand', is + 2, is)) })
  await superuser.query(`delete from platform.schema_versions where version = ${is + 2}`)
  const ahead = await withScripts({ ...next, [file(is + 2)]: 'select 1;', [file(is + 3)]: 'select 1;' })
  expect(await over(begin(serving, { program: ahead }))).toMatchObject({
    code: 1,
    output: expect.stringContaining(two('tenant schemas stand', newest, is + 3)),
  })
  const beyond = (by: number) =>
    superuser.query("insert into platform.kysely_migration (name, timestamp) values ($1, '')", [
      String(platformVersion + by).padStart(4, '0'),
    ])
  await beyond(1)
  expect(await (await begin({ ...serving, ...database.migrator }).ready()).kill('SIGTERM')).toBe(0)
  await beyond(2)
  expect(await over(begin(serving))).toMatchObject({
    code: 1,
    output: expect.stringContaining(two('platform schema stands', platformVersion + 2, platformVersion)),
  })
  expect(await database.migrate()).toMatchObject({
    code: 1,
    output: expect.stringContaining(two('platform schema stands', platformVersion + 2, platformVersion)),
  })
})

it('F-34 a tenant that was made by the first script alone gets all later ones: its catalogue is that of a new one, and it takes settings', async () => {
  const later = tenantScripts.filter(({ version }) => version > 1).map(({ version }) => [file(version), null] as const)
  const first = await withScripts(Object.fromEntries(later))
  const database = await newDatabase('first')
  await database.fillIn(printedSql((await database.migrate(first)).output))
  expect(await database.migrate(first)).toMatchObject({ code: 0 })
  const key = database.serving.BOOTSTRAP_API_KEY
  const older = await begin(database.serving, { program: first }).ready()
  const old = await onboard(older, key, 'old')
  expect(old.schemaVersion).toBe(1)
  expect(await older.kill('SIGTERM')).toBe(0)

  expect(await database.migrate()).toEqual({
    code: 0,
    output: `1 tenant schema(s) brought to version ${is}\nthe database is up to date\n`,
  })
  const server = await begin(database.serving).ready()
  const made = await onboard(server, key, 'made')
  const [ofOld, ofMade] = await Promise.all([old, made].map(({ id }) => listSchema(database.superuser as never, `t_${id.slice(4)}`)))
  expect(ofOld).toEqual(ofMade)
  const clients = connect(server.address(), key)
  for (const { id } of [old, made]) {
    const settings = await clients.tenants.updateTenantSettings({ tenantId: id, mfa: { required: true } })
    expect(settings).toMatchObject({ mfa: { required: true }, password: { minLength: 15 }, etag: '2' })
  }
  clients.close()
})
