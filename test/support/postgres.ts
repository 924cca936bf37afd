import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectOnce } from '../../server/db/connect.js'
import { isPortFree } from '../../server/dev/free-port.js'
import { startEmbeddedPostgres } from '../../server/dev/postgres.js'
import { findPlace } from '../../server/dev/postgres-place.js'
import { run } from '../../server/dev/run.js'
import type { ServiceProcess } from './service-process.js'
import { makeFolder, removeFolder } from './temp-folder.js'
import { forgetPid, watchFolder, watchPid } from './watchdog.js'

export interface PostgresCluster extends ServiceProcess {
  superuserUrl: string
  port: number
  /** For people. */
  how: string
}

export interface PostgresClusterOptions {
  /** False: a kill may lose what was committed, and it is faster. */
  crashSafe?: boolean
}

const endWithinMs = 15_000

/** A PostgreSQL 15 of one's own, in a second. `pid`, `pause`, `resume` and `kill` mean the postmaster and all its children. */
export async function startPostgresCluster({ crashSafe = true }: PostgresClusterOptions = {}): Promise<PostgresCluster> {
  const dataDir = await makeFolder('postgres')
  // root may have to put the data elsewhere: the watchdog must know that place before anything runs there
  const { home } = await findPlace(dataDir)
  const place = home === dataDir ? undefined : home
  if (place !== undefined) watchFolder(place)
  const start = async () => {
    const embedded = await startEmbeddedPostgres({ dataDir, fsync: crashSafe, log: () => {} })
    return { embedded, pid: await postmasterOf(embedded.dataPath) }
  }
  const removeAll = async () => {
    if (place !== undefined) await removeFolder(place)
    await removeFolder(dataDir)
  }
  let current = await start().catch(async (err) => {
    await removeAll()
    throw err
  })
  const { port } = current.embedded
  let paused: number[] = []
  const resume = async () => {
    for (const pid of paused.splice(0)) {
      signal(pid, 'SIGCONT')
      forgetPid(pid)
    }
  }
  /** The postmaster stands still first: it would start other children, and tell them of each other's end. */
  const pause = async () => {
    signal(current.pid, 'SIGSTOP')
    paused = [current.pid, ...(await childrenOf(current.pid))]
    for (const pid of paused) {
      watchPid(pid)
      signal(pid, 'SIGSTOP')
    }
  }
  let stopping: Promise<void> | undefined
  return {
    get pid() {
      return current.pid
    },
    superuserUrl: current.embedded.superuserUrl(),
    port,
    how: current.embedded.how,
    pause,
    resume,
    kill: async () => {
      await pause()
      for (const pid of paused.splice(0)) {
        signal(pid, 'SIGKILL')
        forgetPid(pid)
      }
      const deadline = Date.now() + endWithinMs
      while (!(await isPortFree(port))) {
        if (Date.now() > deadline) throw new Error(`PostgreSQL (process ${current.pid}) was killed and still has its port`)
        await sleep(20)
      }
    },
    restart: async () => {
      await resume()
      await current.embedded.stop()
      current = await start()
      if (current.embedded.port !== port) throw new Error(`port ${port} of PostgreSQL was taken by another meanwhile`)
    },
    stop: () =>
      (stopping ??= (async () => {
        await resume()
        await current.embedded.stop()
        await removeAll()
      })()),
  }
}

export async function postgresAnswers(url: string): Promise<boolean> {
  const connection = await connectOnce(url, 2_000).catch(() => undefined)
  await connection?.end()
  return connection !== undefined
}

async function postmasterOf(data: string): Promise<number> {
  return Number.parseInt(await readFile(join(data, 'postmaster.pid'), 'utf8'), 10)
}

async function childrenOf(parent: number): Promise<number[]> {
  if (process.platform !== 'linux') {
    const { output } = await run('pgrep', ['-P', String(parent)])
    return output.split('\n').filter(Boolean).map(Number)
  }
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')))
  // pid (name) state ppid …; the name may hold anything
  return pids.filter((_, i) => Number(stats[i]!.slice(stats[i]!.lastIndexOf(')') + 2).split(' ')[1]) === parent).map(Number)
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err
  }
}
