import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LoginUrls } from '../../server/db/migrate.command.js'
import { freePort } from '../../server/dev/free-port.js'
import type { Cluster } from './databases.js'
import { postgresAnswers } from './postgres.js'
import { until } from './until.js'

export interface Pooler {
  throughPooler(urls: LoginUrls): LoginUrls
}

/** Debian's PgBouncer in transaction mode before the cluster. It refuses to run as root, and then runs as nobody. */
export async function startPooler(cluster: Cluster, stops: (() => Promise<unknown>)[]): Promise<Pooler> {
  if (spawnSync('pgbouncer', ['--version']).status !== 0)
    throw new Error('test:pgbouncer needs pgbouncer on the PATH (Debian package pgbouncer)')
  const folder = await mkdtemp(join(tmpdir(), 'pgbouncer-'))
  const port = await freePort()
  const { hostname, port: server } = new URL(cluster.superuserUrl)
  await writeFile(
    join(folder, 'users.txt'),
    Object.entries(cluster.passwords)
      .map(([user, password]) => `"${user}" "${password}"\n`)
      .join(''),
    { mode: 0o644 },
  )
  await writeFile(
    join(folder, 'pgbouncer.ini'),
    `[databases]
* = host=${hostname} port=${server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${folder}/users.txt
pool_mode = transaction
max_client_conn = 500
default_pool_size = 16
ignore_startup_parameters = extra_float_digits
logfile =
pidfile =
`,
    { mode: 0o644 },
  )
  spawnSync('chmod', ['755', folder])
  const asNobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  const child = spawn('pgbouncer', [join(folder, 'pgbouncer.ini')], { stdio: 'ignore', ...asNobody })
  stops.push(async () => {
    child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })
  const through = (url: string) => {
    const made = new URL(url)
    made.port = String(port)
    return made.href
  }
  const probe = new URL(through(cluster.superuserUrl))
  probe.username = 'app'
  probe.password = cluster.passwords.app
  probe.pathname = '/postgres'
  await until(() => postgresAnswers(probe.href), { timeoutMs: 10_000 })
  return {
    throughPooler: ({ app, relay, retention, migrator }) => ({
      app: through(app),
      relay: through(relay),
      retention: through(retention),
      migrator,
    }),
  }
}
