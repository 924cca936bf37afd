import { flight } from '../server/db/flight.js'
import { openPool } from '../server/db/pool.js'
import { statement } from '../server/db/statement.js'
import { newId } from '../server/keys/ids.js'
import { makeRingKey } from '../server/keys/ring.js'
import { makePlatformKey } from '../server/services/platform-accounts/first-key.rules.js'
import { type Cluster, createDatabase, prepareCluster, type TestDatabase } from '../test/support/databases.js'
import { startPostgresCluster } from '../test/support/postgres.js'
import { databaseEnv } from '../test/support/server-process.js'
import { makeFolder, removeFolder } from '../test/support/temp-folder.js'
import { unlimited } from '../test/support/unlimited.js'
import type { Target } from './load/connection.js'
import type { Load, LoadResult } from './load/load.child.js'
import { type Child, type Measured, type Server, startChild, startServer } from './process.js'
import type { Side } from './sides.js'

/** All that the figures need, started once and when first asked for. */
export interface Stage {
  readonly folder: string
  readonly key: string
  /** A database of its own, in a cluster that keeps what it acknowledges. */
  database(): Promise<TestDatabase>
  /** The built server over it. */
  server(name: string, database: TestDatabase, variables?: Readonly<Record<string, string>>): Promise<Server>
  child(file: string): Child
  /** grpc-js alone. */
  echo(): Promise<Server>
  load(load: Load): Promise<LoadResult>
  onStop(stop: () => Promise<unknown>): void
  stop(): Promise<void>
}

export async function openStage(): Promise<Stage> {
  const folder = await makeFolder('bench')
  const key = makePlatformKey()
  const ring = makeRingKey()
  const stops: (() => Promise<unknown>)[] = [() => removeFolder(folder)]
  let cluster: Promise<Cluster> | undefined
  let echoing: Promise<Server> | undefined
  let loader: Child | undefined
  const openCluster = async () => {
    const postgres = await startPostgresCluster({ crashSafe: true })
    stops.push(() => postgres.stop())
    return prepareCluster(postgres.superuserUrl)
  }
  const child = (file: string) => {
    const made = startChild(file, folder)
    stops.push(() => made.stop())
    return made
  }
  const startEcho = async (): Promise<Server> => {
    const made = child('limits/echo.child.ts')
    const { port } = await made.ask<{ port: number }>(undefined)
    return { ...made, address: `127.0.0.1:${port}`, failures: () => '' }
  }
  return {
    folder,
    key,
    async database() {
      cluster ??= openCluster()
      return createDatabase(await cluster)
    },
    async server(name, database, variables = {}) {
      const env = { ...unlimited, BOOTSTRAP_API_KEY: key, KEY_ENCRYPTION_KEYS: ring, ...databaseEnv(database.urls), ...variables }
      const server = await startServer(folder, name, env)
      stops.push(() => server.stop())
      return server
    },
    child,
    echo() {
      echoing ??= startEcho()
      return echoing
    },
    load(load) {
      loader ??= child('load/load.child.ts')
      return loader.ask<LoadResult>(load)
    },
    onStop: (stop) => stops.push(stop),
    async stop() {
      for (const stop of stops.splice(0).reverse()) await stop()
    },
  }
}

export interface Calls {
  readonly connections?: number
  readonly inFlight?: number
  readonly perSecond?: number
  /** A call that the server refuses is not counted, instead of ending all. */
  readonly mayFail?: boolean
}

/** Calls of one method, the CPU measured at the server. Throws if one fails: a refusal costs less than an answer. */
export function calls(
  stage: Stage,
  server: Server,
  path: string,
  messages: readonly Uint8Array[],
  { connections = 2, inFlight = 32, perSecond, mayFail = false }: Calls = {},
): Side {
  const target: Target = { address: server.address, path, key: stage.key }
  return {
    async slice(ms) {
      const before = await server.cpuUs()
      const load = { target, messages, connections, inFlight, ms, ...(perSecond === undefined ? {} : { perSecond }) }
      const result = await stage.load(load)
      if ((result.failed > 0 && !mayFail) || result.calls === 0) {
        throw new Error(`${path}: ${result.failed} of ${result.failed + result.calls} calls failed\n${server.failures()}`)
      }
      if (result.loaderCpu > 0.9)
        console.warn(`${path}: the load generator was busy for ${(result.loaderCpu * 100).toFixed(0)} % of the time`)
      return { ...result, cpuUs: ((await server.cpuUs()) - before) / result.calls }
    },
  }
}

/** So many tenants with schemas, past the RPCs; returns their ids. */
export async function makeTenants({ urls }: TestDatabase, count: number): Promise<string[]> {
  const pool = openPool({ url: urls.app, max: 2 })
  const ids = Array.from({ length: count }, () => newId('tnt'))
  const left = [...ids]
  const make = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      await flight(pool, 'platform_app', [
        statement(
          `insert into platform.tenants (id, slug, display_name, plan, region, create_time, update_time)
           values ($1, 'b' || substr($1, 5), 'Acme Ltd', 'standard', 'default', now(), now())`,
          [id],
        ),
        statement('select lib.make_tenant($1)', [id]),
        statement('insert into platform.tenant_counters (tenant_id) values ($1)', [id]),
      ])
    }
  }
  await Promise.all([make(), make()])
  await pool.end()
  return ids
}

/** Takes a profile of the process while the work runs, if BENCH_PROFILE names a folder. */
export async function profiled<T>(process: Measured, work: () => Promise<T>): Promise<T> {
  await process.profile('start')
  try {
    return await work()
  } finally {
    await process.profile('stop')
  }
}
