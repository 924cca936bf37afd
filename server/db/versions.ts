import type pg from 'pg'
import { flight } from './flight.js'
import { platformVersion, tenantVersion } from './scripts.js'
import { statement } from './statement.js'

/** What the database says where `migrate` never ran: no such role, schema, table; or where it ran for other logins. */
const neverMigrated = new Set(['22023', '3F000', '42P01', '42501'])

/**
 * Code and database may differ by one version, both ways: expand, then contract.
 * @throws VersionsApart
 */
export async function checkVersions(pool: pg.Pool): Promise<void> {
  const [platform, scripts, tenants] = await flight(pool, 'platform_app', [
    statement('select coalesce(max(name), $1)::integer as version from platform.kysely_migration', ['0']),
    statement('select coalesce(max(version), 0) as version from platform.schema_versions'),
    statement('select min(schema_version) as version from platform.tenants'),
  ]).catch((err) => {
    if (!neverMigrated.has(err.code)) throw err
    throw new VersionsApart('the database was not migrated, or not for the login of DATABASE_URL: run `migrate` first', { cause: err })
  })
  const known = scripts?.rows[0].version
  for (const [what, has, wants] of [
    ['platform schema stands', platform?.rows[0].version, platformVersion],
    ['tenant schemas stand', known, tenantVersion],
    ['oldest tenant schema stands', tenants?.rows[0].version ?? known, tenantVersion],
  ] as const) {
    refuseApart(what, has, wants)
  }
}

/** @throws VersionsApart */
export function refuseApart(what: string, has: number, wants: number): void {
  if (Math.abs(has - wants) <= 1) return
  const way = has < wants ? 'run `migrate` of the versions between first' : 'start a newer server'
  throw new VersionsApart(`the database's ${what} at version ${has}, this server is of version ${wants}: more than one apart; ${way}`)
}

export class VersionsApart extends Error {
  override readonly name = 'VersionsApart'
}
