import type pg from 'pg'
import { tenantScripts, tenantVersion } from './scripts.js'

/** Brings every tenant's schema to this code's version: one transaction per tenant and version; those that are up to date are skipped by one query. */
export async function migrateFleet(client: pg.Client, log: (line: string) => void): Promise<void> {
  const { rows } = await client.query<{ id: string }>('select id from platform.tenants where schema_version < $1 order by id', [
    tenantVersion,
  ])
  for (const { id } of rows) await migrateTenant(client, id)
  if (rows.length > 0) log(`${rows.length} tenant schema(s) brought to version ${tenantVersion}`)
}

async function migrateTenant(client: pg.Client, tenantId: string): Promise<void> {
  await client.query('begin')
  try {
    await client.query("set local lock_timeout = '200ms'")
    await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [tenantId])
    const { rows } = await client.query<{ schema_name: string; schema_version: number }>(
      'select schema_name, schema_version from platform.tenants where id = $1',
      [tenantId],
    )
    const tenant = rows[0]
    for (const script of tenantScripts) {
      if (tenant && script.version > tenant.schema_version) await client.query(script.sql.replaceAll('{s}', tenant.schema_name))
    }
    if (tenant) await client.query('update platform.tenants set schema_version = $1 where id = $2', [tenantVersion, tenantId])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw error
  }
}
