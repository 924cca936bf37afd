import { existsSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { connectOnce } from '../db/connect.js'
import { setupSql } from '../db/setup.js'
import { startEmbeddedPostgres } from './postgres.js'
import { readCluster } from './postgres-cluster.js'
import { findElsewhere } from './postgres-place.js'
import { findRunning } from './postgres-running.js'

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
    return {
      urls: urlsOf(postgres.port, postgres.passwords),
      how: postgres.how,
      stop: () => postgres.stop(),
    }
  } catch (err) {
    await postgres.stop()
    throw err
  }
}

/** The database of a DATA_DIR for one piece of work: as it runs for a server, else started for this and stopped again. */
export async function withEmbeddedDatabase<T>(dataDir: string, use: (urls: EmbeddedDatabase['urls']) => Promise<T>): Promise<T> {
  const home = (await findElsewhere(dataDir)) ?? (existsSync(dataDir) ? await realpath(dataDir) : dataDir)
  if (!existsSync(join(home, 'postgres'))) throw new Error(`there is no database in DATA_DIR (${dataDir}), and DATABASE_URL is not set`)
  const cluster = await readCluster(home)
  const running = await findRunning(cluster)
  await running?.connection.end()
  if (running) return use(urlsOf(running.port, cluster.passwords))
  const started = await startEmbeddedDatabase(dataDir, () => {})
  try {
    return await use(started.urls)
  } finally {
    await started.stop()
  }
}

function urlsOf(port: number, passwords: Record<keyof typeof logins, string>): EmbeddedDatabase['urls'] {
  const url = (login: keyof typeof logins) => `postgres://${logins[login]}:${passwords[login]}@127.0.0.1:${port}/${database}`
  return { app: url('app'), migrator: url('migrator'), relay: url('relay'), retention: url('retention') }
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
