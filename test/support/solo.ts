import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { inject } from 'vitest'
import { type App, type AppDeps, createApp, type Settings } from '../../server/app.js'
import { parseConfig } from '../../server/config.js'
import { openPool } from '../../server/db/pool.js'
import { makeRingKey, parseRingKeys } from '../../server/keys/ring.js'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import { createLog } from '../../server/telemetry/log.js'
import { type Clients, connect } from './client.js'
import { type Cluster, createDatabase, type TestDatabase } from './databases.js'
import { wrongEvents } from './emitted-events.js'
import { unlimited } from './unlimited.js'

export interface SoloOptions {
  /** Environment variables over the defaults. */
  readonly env?: Readonly<Record<string, string>>
  readonly deps?: Partial<AppDeps>
  /** Another replica of this one: the same database, key and prefix. */
  readonly beside?: Solo
  readonly kafka?: boolean
  readonly redis?: boolean
  /** Its URLs instead of the template's copy. */
  readonly database?: TestDatabase
}

export interface Solo {
  readonly app: App
  readonly database: TestDatabase
  readonly address: string
  readonly httpPort: number
  readonly key: string
  readonly prefix: string
  readonly clients: Clients
  /** The log's lines, parsed. */
  readonly lines: Record<string, unknown>[]
  /** The app's login. */
  readonly pool: pg.Pool
  /** Sees everything. */
  readonly superuser: pg.Pool
  readonly settings: Settings
  /** Stops the app and drops the database (not of a replica). */
  stop(): Promise<void>
}

export const theCluster = (): Cluster => {
  const cluster = inject('cluster')
  if (!cluster) throw new Error('no PostgreSQL: see the line at the start')
  return cluster
}

/** An app of one's own in this process, with a database of its own. */
export async function startSolo({
  env = {},
  deps = {},
  beside,
  kafka = false,
  redis = false,
  database: given,
}: SoloOptions = {}): Promise<Solo> {
  const database = given ?? beside?.database ?? (await createDatabase(theCluster()))
  const prefix = beside?.prefix ?? `solo-${randomUUID().slice(0, 8)}.`
  const key = beside?.key ?? makePlatformKey()
  const redisUrl = inject('redisUrl')
  const brokers = inject('kafkaBrokers')
  const config = parseConfig({
    NODE_ENV: 'test',
    HOST: '127.0.0.1',
    GRPC_PORT: '0',
    HTTP_PORT: '0',
    DATABASE_URL: database.urls.app,
    RELAY_DATABASE_URL: database.urls.relay,
    RETENTION_DATABASE_URL: database.urls.retention,
    ...unlimited,
    ...(redis && redisUrl ? { REDIS_URL: redisUrl, REDIS_PREFIX: prefix } : {}),
    ...(kafka && brokers ? { KAFKA_BROKERS: brokers, KAFKA_TOPIC_PREFIX: prefix, KAFKA_PARTITIONS: '3' } : {}),
    ...env,
  })
  const settings: Settings = {
    ...config,
    database: {
      ...config.database,
      url: config.database.url!,
      relayUrl: config.database.relayUrl!,
      retentionUrl: config.database.retentionUrl!,
    },
    keyEncryptionKeys: beside?.settings.keyEncryptionKeys ?? config.keyEncryptionKeys ?? parseRingKeys(makeRingKey()),
    bootstrapApiKey: config.bootstrapApiKey ?? key,
  }
  const lines: Record<string, unknown>[] = []
  const log = createLog('info', { write: (line: string) => void lines.push(JSON.parse(line)) })
  const app = createApp(settings, { log, version: '0.0.0-test', ...deps })
  const { grpcPort, httpPort } = await app.start()
  const pool = openPool({ url: database.urls.app, max: 4 })
  const superuser = openPool({ url: database.superuserUrl, max: 2 })
  const address = `127.0.0.1:${grpcPort}`
  const clients = connect(address, settings.bootstrapApiKey)
  return {
    app,
    database,
    address,
    httpPort,
    key: settings.bootstrapApiKey,
    prefix,
    clients,
    lines,
    pool,
    superuser,
    settings,
    async stop() {
      clients.close()
      await app.stop()
      await Promise.all([pool.end(), superuser.end()])
      if (beside || given) return
      const wrong = await wrongEvents(database.superuserUrl)
      await database.drop()
      if (wrong.length > 0) throw new Error(`events that this app emitted are wrong:\n${wrong.join('\n')}`)
    },
  }
}
