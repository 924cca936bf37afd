import { randomBytes, randomUUID } from 'node:crypto'
import { connectOnce } from '../../server/db/connect.js'
import { type LoginUrls, migrateAs } from '../../server/db/migrate.command.js'
import { setupSql } from '../../server/db/setup.js'

/** What tests know of the cluster: the superuser's URL, and the logins' passwords; roles belong to the cluster. */
export interface Cluster {
  readonly superuserUrl: string
  readonly passwords: Readonly<Record<'app' | 'migrator' | 'relay' | 'retention', string>>
}

const logins = { app: 'app', migrator: 'migrator', relay: 'relay', retention: 'retention' } as const
const template = 'tpl'

export function urlIn(url: string, database: string, login?: { user: string; password: string }): string {
  const made = new URL(url)
  made.pathname = `/${database}`
  if (login) {
    made.username = login.user
    made.password = login.password
  }
  return made.href
}

const urlsOf = ({ superuserUrl, passwords }: Cluster, database: string): LoginUrls => {
  const of = (login: keyof typeof logins) => urlIn(superuserUrl, database, { user: logins[login], password: passwords[login] })
  return { app: of('app'), migrator: of('migrator'), relay: of('relay'), retention: of('retention') }
}

/** Makes the shared roles and the migrated template, once per cluster. */
export async function prepareCluster(superuserUrl: string): Promise<Cluster> {
  const password = () => randomBytes(18).toString('hex')
  const passwords = { app: password(), migrator: password(), relay: password(), retention: password() }
  const admin = await connectOnce(superuserUrl)
  try {
    await admin.query(`create database ${template} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C.UTF-8'`)
  } finally {
    await admin.end()
  }
  const inside = await connectOnce(urlIn(superuserUrl, template))
  try {
    await inside.query(setupSql(logins, template, passwords))
  } finally {
    await inside.end()
  }
  const cluster = { superuserUrl, passwords }
  await migrateAs(urlsOf(cluster, template), undefined, () => {})
  return cluster
}

export interface TestDatabase {
  readonly name: string
  readonly urls: LoginUrls
  readonly superuserUrl: string
  drop(): Promise<void>
}

/** A migrated database of its own: 40 ms. */
export async function createDatabase(cluster: Cluster, name = `t${randomUUID().replaceAll('-', '').slice(0, 16)}`): Promise<TestDatabase> {
  const admin = await connectOnce(cluster.superuserUrl)
  try {
    await admin.query(`create database ${name} template ${template} owner platform_owner`)
    // grants on a database are not copied
    await admin.query(`revoke temporary on database ${name} from public`)
  } finally {
    await admin.end()
  }
  return {
    name,
    urls: urlsOf(cluster, name),
    superuserUrl: urlIn(cluster.superuserUrl, name),
    async drop() {
      const last = await connectOnce(cluster.superuserUrl)
      try {
        await last.query(`drop database if exists ${name} with (force)`)
      } finally {
        await last.end()
      }
    },
  }
}
