import { randomUUID } from 'node:crypto'
import { cp, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { openPool } from '../../server/db/pool.js'
import { makeRingKey } from '../../server/keys/ring.js'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import { connect } from './client.js'
import { urlIn } from './databases.js'
import { type PostgresCluster, startPostgresCluster } from './postgres.js'
import { databaseEnv } from './server-process.js'
import { begin, endAll, repo, type Starting, serverProgram } from './starting.js'
import { makeFolder, removeFolder } from './temp-folder.js'

const kinds = ['app', 'migrator', 'relay', 'retention'] as const
type Kind = (typeof kinds)[number]

let cluster: PostgresCluster
const pools: pg.Pool[] = []
const folders: string[] = []

/** Gives the file a PostgreSQL cluster of its own, and ends after each test what that has started. */
export function ownCluster(): void {
  beforeAll(async () => {
    cluster = await startPostgresCluster({ crashSafe: false })
  })
  afterEach(endAll)
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()))
    await cluster?.stop()
    for (const folder of folders) await removeFolder(folder)
  })
}

export function poolOf(url: string): pg.Pool {
  const pool = openPool({ url, max: 2 })
  pools.push(pool)
  return pool
}

/** Somebody's own PostgreSQL: an empty database of a superuser's, and logins that are named but not made. */
export async function newDatabase(name: string) {
  const admin = poolOf(cluster.superuserUrl)
  await admin.query(`create database ${name} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C.UTF-8'`)
  const superuser = poolOf(urlIn(cluster.superuserUrl, name))
  const password = (kind: Kind) => `q7${name}Z${kind.length}t3vK9mXw2`
  const url = (kind: Kind) => urlIn(cluster.superuserUrl, name, { user: `${name}_${kind}`, password: password(kind) })
  const urls = { app: url('app'), migrator: url('migrator'), relay: url('relay'), retention: url('retention') }
  const { MIGRATOR_DATABASE_URL, ...serving } = databaseEnv(urls)
  return {
    superuser,
    urls,
    /** What a server gets that may not migrate. */
    serving: { ...serving, BOOTSTRAP_API_KEY: makePlatformKey(), KEY_ENCRYPTION_KEYS: makeRingKey(), HOST: '127.0.0.1' },
    migrator: { MIGRATOR_DATABASE_URL },
    migrate: (program: readonly string[] = serverProgram, env: Readonly<Record<string, string>> = {}) =>
      over(begin({ ...databaseEnv(urls), ...env }, { program: [...program, 'migrate'] })),
    /** As a superuser does with the printed SQL. */
    fillIn: (sql: string) => superuser.query(kinds.reduce((text, kind) => text.replace(`:'${kind}_password'`, `'${password(kind)}'`), sql)),
  }
}
export type OwnDatabase = Awaited<ReturnType<typeof newDatabase>>

export const over = async (started: Starting) => ({ code: await started.exited, output: started.output() })
export const printedSql = (output: string) => output.slice(output.indexOf('do $$'))

export async function migrated(name: string): Promise<OwnDatabase> {
  const database = await newDatabase(name)
  await database.fillIn(printedSql((await database.migrate()).output))
  const { code, output } = await database.migrate()
  if (code !== 0) throw new Error(output)
  return database
}

/** The built server with other scripts in its migrations' folders; null: without that one. */
export async function withScripts(scripts: Readonly<Record<string, string | null>>): Promise<readonly string[]> {
  const folder = await makeFolder('scripts')
  folders.push(folder)
  await cp(join(repo, 'dist'), join(folder, 'dist'), { recursive: true })
  await cp(join(repo, 'package.json'), join(folder, 'package.json'))
  await symlink(join(repo, 'node_modules'), join(folder, 'node_modules'))
  for (const [name, text] of Object.entries(scripts)) {
    const path = join(folder, 'dist/server/db/migrations', name)
    await (text === null ? rm(path) : writeFile(path, text))
  }
  return [process.execPath, join(folder, 'dist/server/main.js')]
}

export async function onboard(server: Starting, key: string, slug: string) {
  const clients = connect(server.address(), key)
  try {
    return await clients.tenants.createTenant({ slug, displayName: slug, ownerEmail: 'o@acme.example', requestId: randomUUID() })
  } finally {
    clients.close()
  }
}
