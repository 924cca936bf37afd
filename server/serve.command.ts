import { existsSync, readFileSync } from 'node:fs'
import { type App, createApp, type Settings } from './app.js'
import type { Config } from './config.js'
import { databaseAnswers } from './db/answers.js'
import { migrateAs } from './db/migrate.command.js'
import { banner } from './dev/banner.js'
import { startEmbeddedDatabase } from './dev/embedded.js'
import { keptSecret } from './dev/kept-secret.js'
import { startRedisOfPath } from './dev/redis.js'
import { readPems } from './keys/pem-files.js'
import { makeRingKey, parseRingKeys } from './keys/ring.js'
import { makePlatformKey } from './services/platform-accounts/first-key.rules.js'
import type { CallLog } from './telemetry/log.js'

/** Of package.json, which lies a folder higher where the server is built. */
export function packageVersion(): string {
  const found = ['../package.json', '../../package.json'].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))
  if (!found) throw new Error('package.json is not beside the server')
  return JSON.parse(readFileSync(found, 'utf8')).version
}

/** Starts the service and says so; what is missing in development is made up. `stop` may be called while it starts. */
export function serve(
  config: Config,
  log: CallLog,
  print: (text: string) => void,
): { readonly started: Promise<void>; stop(): Promise<void> } {
  const startedAt = performance.now()
  const stops: (() => Promise<void>)[] = []
  let app: App | undefined
  let stopping: Promise<void> | undefined
  const aborting = new AbortController()
  const { signal } = aborting
  const begin = async () => {
    const { database, production, dataDir } = config
    const embedded = database.url === undefined ? await startEmbeddedDatabase(dataDir, (line) => log.warn({}, line)) : undefined
    if (embedded) stops.push(() => embedded.stop())
    if (signal.aborted) return
    const ownRedis = config.redis.url === undefined && !production ? await startRedisOfPath() : undefined
    if (ownRedis) stops.push(() => ownRedis.stop())
    const urls = embedded?.urls ?? {
      app: database.url ?? '',
      relay: database.relayUrl ?? '',
      retention: database.retentionUrl ?? '',
      migrator: database.migratorUrl,
    }
    const { migrator } = urls
    const ssl = database.tls && readPems(database.tls)
    const say = (line: string) => log.info({}, line)
    await databaseAnswers(urls.app, { ssl, signal, log: say })
    if (!production && migrator !== undefined) await migrateAs({ ...urls, migrator }, ssl, say, signal)
    if (signal.aborted) return
    const settings: Settings = {
      ...config,
      database: { ...database, url: urls.app, relayUrl: urls.relay, retentionUrl: urls.retention },
      redis: { ...config.redis, url: config.redis.url ?? ownRedis?.url },
      keyEncryptionKeys: config.keyEncryptionKeys ?? parseRingKeys(await keptSecret(dataDir, 'key-encryption-keys', makeRingKey)),
      bootstrapApiKey: config.bootstrapApiKey ?? (await keptSecret(dataDir, 'bootstrap-key', makePlatformKey)),
    }
    app = createApp(settings, { log, version: packageVersion() })
    const { hosts, grpcPort, httpPort, rest, freeSlug, firstKeyHolds } = await app.start()
    const startedInMs = performance.now() - startedAt
    if (production) return log.info({ hosts, grpc_port: grpcPort, http_port: httpPort, started_in_ms: Math.round(startedInMs) }, 'ready')
    print(
      banner({
        production,
        postgres: embedded?.how ?? 'by DATABASE_URL',
        redis: config.redis.url
          ? 'by REDIS_URL'
          : (ownRedis?.how ?? 'none: kept in memory (put redis-server on the PATH, or set REDIS_URL)'),
        kafka: config.kafka.brokers?.join(', ') ?? 'none: the relay rests, events are read by ListEvents and WatchEvents',
        hosts,
        grpcPort,
        grpcTls: config.grpcTls !== undefined,
        httpPort,
        rest,
        bootstrapKey: firstKeyHolds ? settings.bootstrapApiKey : undefined,
        freeSlug,
        reflection: config.reflection,
        startedInMs,
      }),
    )
  }
  const started = begin()
  const stop = async () => {
    aborting.abort(new Error('asked to stop while starting'))
    await app?.stop()
    await started.catch(() => {})
    await app?.stop()
    for (const end of stops.reverse()) await end()
  }
  return {
    started,
    stop: () => {
      stopping ??= stop()
      return stopping
    },
  }
}
