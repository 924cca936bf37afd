import { Kysely, type Migration, Migrator, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { migrateFleet } from './fleet.js'
import { checkLogins, grantLogins, loginFailure } from './logins.js'
import { platformScripts, platformVersion, tenantScripts, tenantVersion } from './scripts.js'
import type { Logins } from './setup.js'
import { refuseApart } from './versions.js'

export interface MigrateOptions {
  /** The migrator's own login, past any pooler: session locks are held. */
  readonly url: string
  readonly ssl?: pg.ClientConfig['ssl']
  readonly logins: Logins
  readonly log: (line: string) => void
  /** Ends the wait for other replicas, and the work at its next step. */
  readonly signal?: AbortSignal | undefined
}

/** Any number of replicas may start at once: they take turns. */
const turn = 72_656_301

/**
 * Brings the database to this code's version: platform schema, logins' grants and settings, then every tenant's schema. What is newer than
 * this code by one version is left as it is.
 * @throws SetupMissing where a superuser must act first; it carries the SQL. VersionsApart.
 */
export async function migrate({ url, ssl, logins, log, signal }: MigrateOptions): Promise<void> {
  const connection = { connectionString: url, connectionTimeoutMillis: 10_000, ...(ssl === undefined ? {} : { ssl }) }
  const lock = new pg.Client(connection)
  lock.on('error', () => {})
  const giveUp = () => void lock.end()
  signal?.addEventListener('abort', giveUp)
  try {
    signal?.throwIfAborted()
    await lock.connect().catch((err) => {
      throw loginFailure(err, logins, lock.database ?? '')
    })
    await checkLogins(lock, logins, log)
    await lock.query('select pg_advisory_lock($1)', [turn])
    const has = await versionsOf(lock)
    refuseNewer('platform schema stands', has.platform, platformVersion)
    refuseNewer('tenant schemas stand', has.tenant, tenantVersion)
    if (has.platform < platformVersion) await migratePlatform(connection, log)
    await storeTenantScripts(lock)
    await grantLogins(lock, logins)
    await migrateFleet(lock, tenantScripts, log)
  } finally {
    signal?.removeEventListener('abort', giveUp)
    await lock.end().catch(() => {})
  }
}

/** 0: there is nothing yet. A version behind by more than one is what migrations are for. */
async function versionsOf(client: pg.Client): Promise<{ platform: number; tenant: number }> {
  const one = async (text: string): Promise<number> => (await client.query(text)).rows[0].version
  const made = await one("select (to_regclass('platform.kysely_migration') is not null)::integer as version")
  const platform = made && (await one("select coalesce(max(name), '0')::integer as version from platform.kysely_migration"))
  const tenant = platform && (await one('select coalesce(max(version), 0) as version from platform.schema_versions'))
  return { platform, tenant }
}

function refuseNewer(what: string, has: number, wants: number): void {
  if (has > wants) refuseApart(what, has, wants)
}

async function migratePlatform(connection: pg.ClientConfig, log: (line: string) => void): Promise<void> {
  const migrations: Record<string, Migration> = {}
  for (const script of platformScripts) {
    migrations[String(script.version).padStart(4, '0')] = { up: async (tx) => void (await sql.raw(script.sql).execute(tx)) }
  }
  const pool = new pg.Pool({ ...connection, max: 1 })
  pool.on('error', () => {})
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations }, migrationTableSchema: 'platform' })
    const { error, results } = await migrator.migrateToLatest()
    for (const { migrationName, status } of results ?? []) log(`platform ${migrationName}: ${status}`)
    if (error) throw error
  } finally {
    await db.destroy()
  }
}

/** The scripts that lib.make_tenant runs; one that changed after it was applied is refused. */
async function storeTenantScripts(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ version: number; checksum: string }>('select version, checksum from platform.schema_versions')
  const changed = tenantScripts.find(({ version, checksum }) => rows.some((row) => row.version === version && row.checksum !== checksum))
  if (changed) throw new Error(`tenant script ${changed.version} differs from the one that was applied: scripts never change`)
  const missing = tenantScripts.filter(({ version }) => !rows.some((row) => row.version === version))
  if (missing.length === 0) return
  await client.query('begin')
  // Waits for the tenants that are being made by the old scripts, so that the fleet's run finds them.
  await client.query('lock table platform.schema_versions in access exclusive mode')
  for (const { version, checksum, sql: text } of missing) {
    await client.query('insert into platform.schema_versions (version, checksum, sql) values ($1, $2, $3)', [version, checksum, text])
  }
  await client.query('commit')
}
