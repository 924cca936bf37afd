import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { Script } from './scripts.js'

const attemptsMax = 20

/** Brings every tenant's schema up to the newest script, in one transaction each; those that are up to date are skipped by one query. */
export async function migrateFleet(client: pg.Client, scripts: readonly Script[], log: (line: string) => void): Promise<void> {
  const version = scripts.at(-1)?.version ?? 0
  const { rows } = await client.query<{ id: string }>('select id from platform.tenants where schema_version < $1 order by id', [version])
  for (const { id } of rows) await migrateTenant(client, id, scripts)
  if (rows.length > 0) log(`${rows.length} tenant schema(s) brought to version ${version}`)
}

/** Waits 200 ms for a lock and no longer, since whoever calls for this tenant waits behind it; then tries again, for some 10 s. */
async function migrateTenant(client: pg.Client, tenantId: string, scripts: readonly Script[]): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await migrateOnce(client, tenantId, scripts)
    } catch (err) {
      const busy = ['55P03', '40P01'].includes((err as { code?: string }).code ?? '')
      if (!busy || attempt === attemptsMax) throw new Error(`${tenantId} was not migrated: ${(err as Error).message}`, { cause: err })
      await sleep(200 + Math.random() * 400)
    }
  }
}

async function migrateOnce(client: pg.Client, tenantId: string, scripts: readonly Script[]): Promise<void> {
  await client.query('begin')
  try {
    await client.query("set local lock_timeout = '200ms'")
    await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [tenantId])
    const { rows } = await client.query<{ schema_name: string; schema_version: number }>(
      'select schema_name, schema_version from platform.tenants where id = $1',
      [tenantId],
    )
    const tenant = rows[0]
    for (const { version, sql } of tenant ? scripts : []) {
      if (!tenant || version <= tenant.schema_version) continue
      await client.query(sql.replaceAll('{s}', tenant.schema_name))
      await client.query('update platform.tenants set schema_version = $1 where id = $2', [version, tenantId])
    }
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw error
  }
}
