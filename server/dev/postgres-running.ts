import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, connectOnce } from '../db/connect.js'
import { isAlive } from './drafts.js'
import { type Cluster, superuser } from './postgres-cluster.js'

export interface Running {
  port: number
  connection: Connection
}

/** How long a PostgreSQL of ours may take to answer: recovery after a kill, on a slow disk. */
const answerWithinMs = 60_000
/** How long a process that is not visibly ours may take before its number counts as somebody else's; without /proc nothing is visible. */
const strangerWithinMs = existsSync('/proc/self/cmdline') ? 1_000 : 10_000

/**
 * Above every kernel's limit, so no process has it. PostgreSQL would never replace a postmaster.pid whose number is somebody's; with
 * this one it does, but not before it has checked, by the file's other lines, that no backend of the dead one still has the memory.
 */
const nobodysPid = '4194305'

export class DataDirInUse extends Error {
  constructor(data: string) {
    super(`another server runs on this DATA_DIR (its database is ${data}): stop that one first, or set another DATA_DIR`)
    this.name = 'DataDirInUse'
  }
}

export function superuserUrl(cluster: Cluster, port: number, database = 'postgres'): string {
  return `postgres://${superuser}:${cluster.passwords.superuser}@127.0.0.1:${port}/${database}`
}

/**
 * Connects to the PostgreSQL that runs on this data; undefined where none does. After a kill of the server its PostgreSQL runs on,
 * and postmaster.pid alone proves nothing: after a reboot its number may be anybody's. What proves it is a connection that names
 * the data directory. No process is ever signalled by that number.
 */
export async function findRunning(cluster: Cluster): Promise<Running | undefined> {
  const pidFile = join(cluster.data, 'postmaster.pid')
  const begunMs = Date.now()
  for (;;) {
    const text = await readPidFile(pidFile)
    if (text === undefined) return undefined
    // its lines: pid, data directory, start time, port, …
    const [pid, , , port] = text.split('\n').map(Number)
    const connection = port ? await connectTo(cluster, port) : undefined
    if (connection && port) return { port, connection }
    const waitedMs = Date.now() - begunMs
    if (pid === undefined || (pid > 0 && !isAlive(pid))) {
      // PostgreSQL itself replaces the file of a dead process, and checks first that no backend of it is left
      return undefined
    }
    if (await runsOn(pid, cluster.data)) {
      if (waitedMs > answerWithinMs)
        throw new Error(`PostgreSQL (process ${pid}) runs on ${cluster.data} and does not answer; its log is ${cluster.log}`)
    } else if (waitedMs > strangerWithinMs) {
      if ((await readPidFile(pidFile)) === text) await writeFile(pidFile, text.replace(/^\d+/, nobodysPid))
      return undefined
    }
    await sleep(50)
  }
}

/**
 * One server per DATA_DIR: the lock lives as long as the connection, so a killed server's goes with its socket, for which PostgreSQL
 * gets a moment. False if another server holds it.
 */
export async function tryLock(connection: Connection): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    const { rows } = await connection.query<{ held: boolean }>('select pg_try_advisory_lock(3216742110) as held')
    if (rows[0]?.held) return true
    if (attempt === 10) return false
    await sleep(50)
  }
}

async function readPidFile(pidFile: string): Promise<string | undefined> {
  return readFile(pidFile, 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return undefined
    throw err
  })
}

async function connectTo(cluster: Cluster, port: number): Promise<Connection | undefined> {
  let connection: Connection | undefined
  try {
    connection = await connectOnce(superuserUrl(cluster, port))
    const { rows } = await connection.query<{ data_directory: string }>('show data_directory')
    if (rows[0]?.data_directory === cluster.data) return connection
  } catch {
    // refused, starting, stopping, or another database behind this port: the caller asks again
  }
  await connection?.end().catch(() => {})
  return undefined
}

/** A postmaster's command line names its data directory, and everybody may read it, also where PostgreSQL runs as another user. */
async function runsOn(pid: number, data: string): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return commandLine.split('\0').includes(data)
}
