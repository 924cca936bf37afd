import type pg from 'pg'
import { flight } from './flight.js'
import { platformVersion, tenantVersion } from './scripts.js'
import { statement } from './statement.js'

/** Code and database may differ by one version, both ways: expand, then contract. */
export async function checkVersions(pool: pg.Pool): Promise<void> {
  const [platform, tenant] = await flight(pool, 'platform_app', [
    statement('select coalesce(max(name), $1)::integer as version from platform.kysely_migration', ['0']),
    statement('select coalesce(max(version), 0) as version from platform.schema_versions'),
  ])
  for (const [what, has, wants] of [
    ['platform schema', platform?.rows[0].version, platformVersion],
    ['tenant schemas', tenant?.rows[0].version, tenantVersion],
  ] as const) {
    if (Math.abs(has - wants) > 1) {
      throw new VersionsApart(`the database's ${what} stand at version ${has}, this server is of version ${wants}: more than one apart`)
    }
  }
}

export class VersionsApart extends Error {
  override readonly name = 'VersionsApart'
}
