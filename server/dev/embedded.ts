import { connectOnce } from '../db/connect.js'
import { setupSql } from '../db/setup.js'
import { startEmbeddedPostgres } from './postgres.js'

export const database = 'customer_management'
const logins = { app: 'app', migrator: 'migrator', relay: 'relay', retention: 'retention' } as const

export interface EmbeddedDatabase {
  readonly urls: Readonly<Record<keyof typeof logins, string>>
  readonly how: string
  stop(): Promise<void>
}

/** PostgreSQL from npm with this service's database, logins and all that needs a superuser; a start that died half way is completed. */
export async function startEmbeddedDatabase(dataDir: string, log: (line: string) => void): Promise<EmbeddedDatabase> {
  const postgres = await startEmbeddedPostgres({ dataDir, log })
  try {
    await setUp(postgres.superuserUrl(), postgres.superuserUrl(database), postgres.passwords)
    const url = (login: keyof typeof logins) =>
      `postgres://${logins[login]}:${postgres.passwords[login]}@${postgres.host}:${postgres.port}/${database}`
    return {
      urls: { app: url('app'), migrator: url('migrator'), relay: url('relay'), retention: url('retention') },
      how: postgres.how,
      stop: () => postgres.stop(),
    }
  } catch (err) {
    await postgres.stop()
    throw err
  }
}

async function setUp(adminUrl: string, databaseUrl: string, passwords: Record<keyof typeof logins, string>): Promise<void> {
  const admin = await connectOnce(adminUrl)
  try {
    const { rows } = await admin.query('select from pg_database where datname = $1', [database])
    if (rows.length === 0) {
      await admin.query(`create database ${database} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C.UTF-8'`)
    }
  } finally {
    await admin.end()
  }
  const client = await connectOnce(databaseUrl)
  try {
    // One transaction: all of it is there, or none.
    const { rows } = await client.query("select from pg_roles where rolname = 'platform_owner'")
    if (rows.length === 0) await client.query(`begin; ${setupSql(logins, database, passwords)} commit;`)
  } finally {
    await client.end()
  }
}
