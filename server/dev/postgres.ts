import { readFile, rename, stat, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, connectOnce } from '../db/connect.js'
import { freePort, isPortFree } from './free-port.js'
import { type Cluster, makeCluster, readCluster, superuser, writePort } from './postgres-cluster.js'
import { findPlace, type Place } from './postgres-place.js'
import { DataDirInUse, findRunning, type Running, superuserUrl, tryLock } from './postgres-running.js'
import type { Ran } from './run.js'

export { DataDirInUse }

export interface EmbeddedPostgres {
  host: '127.0.0.1'
  port: number
  superuser: string
  password: string
  /** Without a database: `postgres`. */
  superuserUrl(database?: string): string
  /** Made at the first start, for the logins that the first migration makes. */
  passwords: { app: string; migrator: string; relay: string; retention: string }
  dataPath: string
  /** One line for people: where the data is, and as which user PostgreSQL runs. */
  how: string
  /** This start made the database. */
  freshlyMade: boolean
  /** Stops PostgreSQL. May be called again. */
  stop(): Promise<void>
}

export interface EmbeddedPostgresOptions {
  dataDir: string
  log: (line: string) => void
  /** False for databases that live for one test run: faster, and a crash of the machine loses them. */
  fsync?: boolean
}

const startAttemptsMax = 8
const logMaxBytes = 10_000_000

/**
 * PostgreSQL 15 from npm, on data below DATA_DIR: made at the first start, adopted if a killed server left it running.
 * Whatever fails, nothing is left running that this call started.
 * @throws DataDirInUse if another server holds DATA_DIR; its database is left alone.
 */
export async function startEmbeddedPostgres({ dataDir, log, fsync = true }: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const place = await findPlace(dataDir)
  const freshlyMade = await makeCluster(place, { fsync })
  const cluster = await readCluster(place.home)
  const running = await startOrAdopt(place, cluster, { log, fsync })
  const hold = keepHold(cluster, running, log)
  let stopping: Promise<void> | undefined
  const { superuser: password, ...passwords } = cluster.passwords
  return {
    host: '127.0.0.1',
    port: running.port,
    superuser,
    password,
    superuserUrl: (database) => superuserUrl(cluster, running.port, database),
    passwords,
    dataPath: cluster.data,
    how: `PostgreSQL 15 from npm on 127.0.0.1:${running.port}, data in ${cluster.data}, run by ${place.user}`,
    freshlyMade,
    stop: () => (stopping ??= hold.release(() => stopPostgres(place, cluster))),
  }
}

/** Fast: clients are cut off. If that doesn't end within 20 s, at once: the next start recovers from the log. */
export async function stopPostgres(place: Place, cluster: Cluster): Promise<void> {
  for (const mode of ['fast', 'immediate']) {
    const stopped = await place.pgCtl(['-D', cluster.data, '-m', mode, '-w', '-t', '20', 'stop'])
    if (stopped.ok) return
    const running = await findRunning(cluster)
    if (!running) return
    await running.connection.end().catch(() => {})
  }
  throw new Error(`PostgreSQL on ${cluster.data} did not stop; its log is ${cluster.log}`)
}

async function startOrAdopt(place: Place, cluster: Cluster, opts: { log: (line: string) => void; fsync: boolean }): Promise<Running> {
  let started = false
  try {
    let failure = ''
    for (let attempt = 1; attempt <= startAttemptsMax; attempt++) {
      let running = await findRunning(cluster)
      const orphan = running !== undefined && !started
      if (!running) {
        const outcome = await startPostgres(place, cluster, opts.fsync)
        if (outcome.ok) started = true
        else failure = outcome.output
        running = await findRunning(cluster)
      }
      if (running) {
        // a connection that breaks here is of a PostgreSQL that was going down: from the beginning
        const held = await tryLock(running.connection).catch((err: Error) => err)
        if (held === true) {
          if (orphan) opts.log('PostgreSQL was still running, its server was not: adopted')
          if (running.port !== cluster.port) await writePort(cluster, running.port)
          return running
        }
        await running.connection.end().catch(() => {})
        if (held === false) throw new DataDirInUse(cluster.data)
        failure = held.message
      }
      await sleep(100 * attempt)
    }
    throw new Error(`PostgreSQL on ${cluster.data} did not start: ${failure.trim()}\n${await lastLines(cluster.log)}`)
  } catch (err) {
    if (started && !(err instanceof DataDirInUse)) await stopPostgres(place, cluster).catch(() => {})
    throw err
  }
}

async function startPostgres(place: Place, cluster: Cluster, fsync: boolean): Promise<Ran> {
  const port = (await isPortFree(cluster.port)) ? cluster.port : await freePort()
  await makeLogReady(place, cluster)
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Linux alone has it: ready after a crash at once instead of after opening each of a hundred thousand files
    ...(process.platform === 'linux' ? { recovery_init_sync_method: 'syncfs' } : {}),
    // a purge drops a tenant's schema in one transaction, one lock a relation
    max_locks_per_transaction: '256',
    autovacuum_freeze_max_age: '1000000000',
    ...(fsync ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  }
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`)
  // with -l, because a PostgreSQL that inherits our pipe keeps us waiting for its end
  return place.pgCtl(['-D', cluster.data, '-w', '-t', '60', '-l', cluster.log, '-o', `-p ${port} ${options.join(' ')}`, 'start'])
}

async function makeLogReady(place: Place, { log }: Cluster): Promise<void> {
  const size = await stat(log).then(
    (found) => found.size,
    () => undefined,
  )
  if (size !== undefined && size < logMaxBytes) return
  if (size !== undefined) await rename(log, `${log}.old`)
  await writeFile(log, '', { mode: 0o600 })
  await place.hand(log)
}

async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text.trimEnd().split('\n').slice(-10).join('\n')
}

/**
 * Keeps the lock of DATA_DIR for the life of the process, also over a restart of PostgreSQL. It is let go by PostgreSQL's own end:
 * let go before, another server could adopt a database that is about to stop.
 */
function keepHold(
  cluster: Cluster,
  { port, connection }: Running,
  log: (line: string) => void,
): { release(stop: () => Promise<void>): Promise<void> } {
  let current = connection
  let released = false
  const watch = (watched: Connection) => watched.once('end', () => void retake())
  const retake = async () => {
    while (!released) {
      const next = await connectOnce(superuserUrl(cluster, port)).catch(() => undefined)
      const held = next && (await tryLock(next).catch(() => undefined))
      if (next && held && !released) {
        current = next
        watch(next)
        return
      }
      await next?.end().catch(() => {})
      if (held === false) log('another server has taken this DATA_DIR over: stop one of the two')
      await sleep(1_000, undefined, { ref: false })
    }
  }
  watch(connection)
  return {
    release: async (stop) => {
      released = true
      await stop()
      await current.end().catch(() => {})
    },
  }
}
