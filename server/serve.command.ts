import { readFileSync } from 'node:fs'
import { type App, createApp, type Settings } from './app.js'
import type { Config } from './config.js'
import { migrateAs } from './db/migrate.command.js'
import { banner } from './dev/banner.js'
import { type EmbeddedDatabase, startEmbeddedDatabase } from './dev/embedded.js'
import { keptSecret } from './dev/kept-secret.js'
import { readPems } from './keys/pem-files.js'
import { makeRingKey, parseRingKeys } from './keys/ring.js'
import { makePlatformKey } from './services/platform-accounts/first-key.rules.js'
import { createLog } from './telemetry/log.js'

export interface Serving {
  stop(): Promise<void>
}

export const packageVersion = (): string => JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version

/** Starts the service and says so; what is missing in development is made up. `stop` may be called while it starts. */
export function serve(config: Config, print: (text: string) => void): { readonly started: Promise<void>; stop(): Promise<void> } {
  const startedAt = performance.now()
  const log = createLog(config.logLevel)
  let embedded: EmbeddedDatabase | undefined
  let app: App | undefined
  let stopping: Promise<void> | undefined
  let aborted = false
  const begin = async () => {
    const { database } = config
    if (database.url === undefined) embedded = await startEmbeddedDatabase(config.dataDir, (line) => log.warn({}, line))
    if (aborted) return
    const urls = embedded?.urls ?? {
      app: database.url ?? '',
      relay: database.relayUrl ?? '',
      retention: database.retentionUrl ?? '',
      migrator: database.migratorUrl,
    }
    const { migrator } = urls
    if (!config.production && migrator !== undefined) {
      await migrateAs({ ...urls, migrator }, database.tls && readPems(database.tls), (line) => log.info({}, line))
    }
    if (aborted) return
    const settings: Settings = {
      ...config,
      database: { ...database, url: urls.app, relayUrl: urls.relay, retentionUrl: urls.retention },
      keyEncryptionKeys: config.keyEncryptionKeys ?? parseRingKeys(await keptSecret(config.dataDir, 'key-encryption-keys', makeRingKey)),
      bootstrapApiKey: config.bootstrapApiKey ?? (await keptSecret(config.dataDir, 'bootstrap-key', makePlatformKey)),
    }
    app = createApp(settings, { log, version: packageVersion() })
    const { hosts, grpcPort, httpPort, redis, freeSlug } = await app.start()
    print(
      banner({
        production: config.production,
        postgres: embedded ? `15 from npm, ${embedded.how}` : 'by DATABASE_URL',
        redis: redis === 'redis' ? 'by REDIS_URL' : 'in memory (set REDIS_URL for a real one)',
        kafka: config.kafka.brokers
          ? `${config.kafka.brokers.join(', ')}`
          : 'none: the relay rests, events are read by ListEvents and WatchEvents',
        hosts,
        grpcPort,
        grpcTls: config.grpcTls !== undefined,
        httpPort,
        bootstrapKey: settings.bootstrapApiKey,
        freeSlug,
        reflection: config.reflection,
        startedInMs: performance.now() - startedAt,
      }),
    )
  }
  const started = begin()
  const stop = async () => {
    aborted = true
    await app?.stop()
    await started.catch(() => {})
    await app?.stop()
    await embedded?.stop()
  }
  return {
    started,
    stop: () => {
      stopping ??= stop()
      return stopping
    },
  }
}
