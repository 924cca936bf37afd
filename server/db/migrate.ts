import { Kysely, type Migration, Migrator, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { migrateFleet } from './fleet.js'
import { checkLogins, grantLogins } from './logins.js'
import { platformScripts, tenantScripts } from './scripts.js'
import type { Logins } from './setup.js'

export interface MigrateOptions {
  /** The migrator's own login, past any pooler: session locks are held. */
  readonly url: string
  readonly ssl?: pg.ClientConfig['ssl']
  readonly logins: Logins
  readonly log: (line: string) => void
}

/** Any number of replicas may start at once: they take turns. */
const turn = 72_656_301

/**
 * Brings the database to this code's version: platform schema, logins' grants and settings, then every tenant's schema.
 * @throws SetupMissing where a superuser must act first; it carries the SQL.
 */
export async function migrate({ url, ssl, logins, log }: MigrateOptions): Promise<void> {
  const connection = { connectionString: url, ...(ssl === undefined ? {} : { ssl }) }
  const lock = new pg.Client(connection)
  lock.on('error', () => {})
  await lock.connect()
  try {
    await checkLogins(lock, logins, log)
    await lock.query('select pg_advisory_lock($1)', [turn])
    const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: new pg.Pool({ ...connection, max: 1 }) }) })
    try {
      await migratePlatform(db, log)
    } finally {
      await db.destroy()
    }
    await storeTenantScripts(lock)
    await grantLogins(lock, logins)
    await migrateFleet(lock, log)
  } finally {
    await lock.end()
  }
}

async function migratePlatform(db: Kysely<unknown>, log: (line: string) => void): Promise<void> {
  const migrations: Record<string, Migration> = {}
  for (const script of platformScripts) {
    migrations[String(script.version).padStart(4, '0')] = { up: async (tx) => void (await sql.raw(script.sql).execute(tx)) }
  }
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations }, migrationTableSchema: 'platform' })
  const { error, results } = await migrator.migrateToLatest()
  for (const { migrationName, status } of results ?? []) log(`platform ${migrationName}: ${status}`)
  if (error) throw error
}

/** The scripts that lib.make_tenant runs; one that changed after it was applied is refused. */
async function storeTenantScripts(client: pg.Client): Promise<void> {
  for (const { version, checksum, sql: text } of tenantScripts) {
    const { rows } = await client.query(
      `insert into platform.schema_versions as v (version, checksum, sql) values ($1, $2, $3)
      on conflict (version) do update set version = v.version returning checksum`,
      [version, checksum, text],
    )
    if (rows[0].checksum !== checksum)
      throw new Error(`tenant script ${version} differs from the one that was applied: scripts never change`)
  }
}
