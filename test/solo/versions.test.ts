import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { platformVersion } from '../../server/db/scripts.js'
import { migrated, onboard, over, ownCluster, withScripts } from '../support/own-database.js'
import { begin, repo } from '../support/starting.js'
import { until } from '../support/until.js'

ownCluster()

const next = { 'tenant/0002.sql': 'alter table {s}.roles add column note varchar(10);' }

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
  expect(await run).toEqual({ code: 0, output: '2 tenant schema(s) brought to version 2\nthe database is up to date\n' })
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
  expect(rows).toEqual([{ schema_version: 2 }])

  // one apart: the older code starts, and its migrate leaves all as it is
  await older.kill('SIGTERM')
  expect(await (await begin({ ...serving, ...database.migrator }).ready()).kill('SIGTERM')).toBe(0)
  expect(await database.migrate()).toMatchObject({ code: 0 })
  // two apart, either way
  const two = (what: string, has: number, is: number) =>
    `the database's ${what} at version ${has}, this server is of version ${is}: more than one apart`
  await superuser.query("insert into platform.schema_versions (version, checksum, sql) values (3, '', '')")
  expect(await over(begin(serving))).toMatchObject({ code: 1, output: expect.stringContaining(two('tenant schemas stand', 3, 1)) })
  expect(await database.migrate()).toMatchObject({ code: 1, output: expect.stringContaining(two('tenant schemas stand', 3, 1)) })
  await superuser.query('delete from platform.schema_versions where version = 3')
  const ahead = await withScripts({ ...next, 'tenant/0003.sql': 'select 1;', 'tenant/0004.sql': 'select 1;' })
  expect(await over(begin(serving, { program: ahead }))).toMatchObject({
    code: 1,
    output: expect.stringContaining(two('tenant schemas stand', 2, 4)),
  })
  const platformAhead = async (steps: number) => {
    const name = String(platformVersion + steps).padStart(4, '0')
    await superuser.query("insert into platform.kysely_migration (name, timestamp) values ($1, '')", [name])
    return two('platform schema stands', platformVersion + steps, platformVersion)
  }
  await platformAhead(1)
  expect(await (await begin({ ...serving, ...database.migrator }).ready()).kill('SIGTERM')).toBe(0)
  const refused = { code: 1, output: expect.stringContaining(await platformAhead(2)) }
  expect(await over(begin(serving))).toMatchObject(refused)
  expect(await database.migrate()).toMatchObject(refused)
})
