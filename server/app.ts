import { randomBytes, randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { openCache } from './cache/open-cache.js'
import { rateLimitsOver } from './cache/rate-limits.js'
import type { Config } from './config.js'
import { openDatabase } from './db/database.js'
import { expireIdempotencyKeys } from './db/expire-idempotency-keys.job.js'
import { flight } from './db/flight.js'
import { oldestXmin } from './db/oldest-xmin.job.js'
import { openPool } from './db/pool.js'
import { tenantVersion } from './db/scripts.js'
import { settingsToMend } from './db/server-settings.js'
import { statement } from './db/statement.js'
import { checkVersions } from './db/versions.js'
import { openEdge } from './edge/edge.js'
import type { HttpPort, Readiness } from './edge/http.js'
import { createRunner } from './jobs/runner.js'
import { type PemFiles, readPems } from './keys/pem-files.js'
import { openRing, type RingKey } from './keys/ring.js'
import { eventPartitions } from './outbox/event-partitions.job.js'
import { createSender, type KafkaOptions, withAdmin } from './outbox/kafka.js'
import { createKicks } from './outbox/kick.js'
import { createPoll } from './outbox/poll.js'
import { createRelay } from './outbox/relay.job.js'
import { createReplay } from './outbox/replay.job.js'
import { ensureTopics, TopicsMissing, topicsOf } from './outbox/topics.js'
import { openCalls } from './rpc/drain.layer.js'
import { buildLayers } from './rpc/layers.js'
import { createRpcServer, type RpcLimits } from './rpc/server.js'
import { eventsService } from './services/events/events.service.js'
import type { WatchTimings } from './services/events/watch-events.js'
import { platformService } from './services/platform/platform.service.js'
import { ensureFirstKey } from './services/platform-accounts/bootstrap.command.js'
import { platformAccountsService } from './services/platform-accounts/platform-accounts.service.js'
import { platformKeyVerifier } from './services/platform-accounts/platform-key.verifier.js'
import { purgeDue } from './services/tenants/purge-due.job.js'
import { freeSlugLike } from './services/tenants/tenants.repo.js'
import { tenantsService } from './services/tenants/tenants.service.js'
import type { CallLog } from './telemetry/log.js'

/** The configuration with what development makes up filled in. */
export type Settings = Config & {
  readonly database: { readonly url: string; readonly relayUrl: string; readonly retentionUrl: string }
  readonly keyEncryptionKeys: readonly RingKey[]
  readonly bootstrapApiKey: string
}

export interface AppDeps {
  readonly log: CallLog
  readonly version: string
  readonly now?: () => Date
  /** How far this process's clock stands ahead of the database's, for tests. */
  readonly clockShiftMs?: () => number
  readonly limits?: Partial<RpcLimits>
  readonly watchTimings?: WatchTimings
}

export interface Started {
  readonly hosts: readonly string[]
  readonly grpcPort: number
  readonly httpPort: number
  /** The HTTP port serves REST: in development, where callers need no certificate. */
  readonly rest: boolean
  readonly redis: 'redis' | 'memory'
  /** A slug that the first call of the banner can take. */
  readonly freeSlug: string
  /** The configured first key is the one that was made, once ever, and it is good. */
  readonly firstKeyHolds: boolean
}

export interface App {
  start(): Promise<Started>
  /** Drains: calls under way finish, streams end with a retryable status; within 25 s. Safe to call at any time, also while starting. */
  stop(): Promise<void>
}

const tlsOf = (files: PemFiles | undefined) => files && readPems(files)

/** Opens what the service needs and puts its rooms together; alone sees them all. What was started is stopped in reverse order, on every path. */
export function createApp(
  settings: Settings,
  { log, version, now = () => new Date(), clockShiftMs = () => 0, limits, watchTimings }: AppDeps,
): App {
  const stops: (() => Promise<unknown> | unknown)[] = []
  let starting: Promise<Started> | undefined
  let stopping: Promise<void> | undefined
  let draining = false

  const start = async (): Promise<Started> => {
    const { database, redis, kafka } = settings
    const ssl = tlsOf(database.tls)
    const pool = (url: string, max: number) => {
      const made = openPool({ url, max, ...(ssl === undefined ? {} : { ssl }) })
      stops.push(() => made.end())
      return made
    }
    const cache = openCache({ url: redis.url, prefix: redis.prefix, tls: tlsOf(redis.tls), log })
    stops.push(() => cache.stop())
    const kicks = await createKicks({ publish: cache.publish, subscribe: cache.subscribe }, 'kicks')
    stops.push(() => kicks.stop())
    const db = openDatabase({
      url: database.url,
      max: database.poolMax,
      named: database.pooler === 'none',
      committed: (tenantId) => kicks.kick(tenantId),
      clockShiftMs,
      ...(ssl === undefined ? {} : { ssl }),
    })
    stops.push(() => db.pool.end())
    await checkVersions(db.pool)
    for (const line of await settingsToMend(db.pool)) log.warn({}, line)
    const firstKeyHolds = await ensureFirstKey(db.pool, settings.bootstrapApiKey, log)
    const relayPool = pool(database.relayUrl, 4)
    const retentionPool = pool(database.retentionUrl, 2)

    const poll = createPoll({ pool: db.pool })
    stops.push(() => poll.stop())
    kicks.listen((tenantIds) => poll.kick(tenantIds))
    const jobs = [
      eventPartitions({ pool: retentionPool, log }),
      expireIdempotencyKeys({ pool: retentionPool, clockShiftMs }),
      oldestXmin({ pool: retentionPool, log }),
      purgeDue({ db, pool: retentionPool, log }),
    ]
    const { relay, replay } = (await openOutbox()) ?? {}
    const holder = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`
    const runner = createRunner({
      pool: relayPool,
      role: 'platform_relay',
      jobs: relay && replay ? [...jobs, relay, replay] : jobs,
      holder,
      log,
    })
    // Behind the drain: what is committed while it lasts is relayed too.
    stops.push(() => runner.stop())
    if (relay) {
      kicks.listen((tenantIds) => {
        relay.kick(tenantIds)
        runner.kick(relay.name)
      })
    }

    const calls = openCalls()
    const ring = openRing(settings.keyEncryptionKeys)
    const layers = buildLayers({
      log: log.call,
      unexpected: (err, fields) => log.error({ ...fields, err }, 'unexpected error'),
      calls,
      addressLimiter: cache.failureLimiter({ points: settings.authFailuresPerMinute, durationS: 60 }),
      verifiers: [platformKeyVerifier(db.pool, () => `${clockShiftMs()} milliseconds`)],
      rateLimits: rateLimitsOver(cache, settings.rateLimits),
      ring,
      streamsMax: 5,
    })
    const options = {
      ...settings,
      schemaVersion: tenantVersion,
      purgeAfterDays: settings.tenantPurgeAfterDays,
      purgeWaitHours: settings.tenantPurgeWaitHours,
    }
    const named = [
      'customer.event.v1.EventService',
      'customer.platform.v1.PlatformAccountService',
      'customer.platform.v1.PlatformService',
      'customer.tenant.v1.TenantService',
    ]
    const services = [
      tenantsService({ db, ring, now, options }, layers),
      eventsService({ db, poll, ring, now, watchTimings }, layers),
      platformAccountsService({ db, ring, now }, layers),
      platformService(
        {
          name: 'customer-management',
          version,
          services: named,
          plans: [...settings.plans],
          regions: [...settings.regions],
          schemaVersion: tenantVersion,
          startTime: now(),
        },
        layers,
      ),
    ]
    const grpcTls = settings.grpcTls && serverTls(settings.grpcTls)
    // Our own REST is a gateway like Kong, which nobody else can be taken for.
    const edgeSecret = randomBytes(32).toString('base64url')
    const { secrets, clientSan } = settings.gateways
    const rpc = createRpcServer({
      services,
      calls,
      reflection: settings.reflection,
      log: log.call,
      tls: grpcTls,
      gateways: { secrets: [...secrets, edgeSecret], clientSan },
      limits,
    })
    let http: HttpPort | undefined
    stops.push(async () => {
      http?.drain()
      await rpc.drain({ pauseMs: settings.drainPauseMs, graceMs: 6_000 })
    })
    const bound = await rpc.bind(settings.hosts, settings.grpcPort)
    for (const host of bound.missing) log.info({ host }, 'this machine does not have this address: nothing listens there')
    // Who demands certificates of its callers would have to give us one.
    const withRest = !settings.production && settings.grpcTls?.ca === undefined
    const { byStream, replay: replays } = topicsOf(kafka.topicPrefix)
    const topics = { ...byStream, replay: replays }
    const grpc = { grpcHost: bound.hosts[0]!, grpcPort: bound.port, tls: grpcTls !== undefined }
    const rest = withRest ? { ...grpc, gatewaySecret: edgeSecret, topics, version } : undefined
    http = await openEdge({ hosts: bound.hosts, port: settings.httpPort, ready, rest, warn: (line) => log.warn({}, line) })
    const { port: httpPort } = http
    stops.unshift(() => http?.stop())
    runner.start()
    return {
      hosts: bound.hosts,
      grpcPort: bound.port,
      httpPort,
      rest: withRest,
      redis: cache.kind,
      freeSlug: await freeSlugLike(db.pool, 'acme'),
      firstKeyHolds,
    }

    async function openOutbox() {
      if (kafka.brokers === undefined) return undefined
      const tls = tlsOf(kafka.tls)
      const options: KafkaOptions = { brokers: kafka.brokers, clientId: 'customer-management', tls, sasl: kafka.sasl }
      const topics = topicsOf(kafka.topicPrefix)
      const lookUp = () =>
        withAdmin(options, log, (admin) => ensureTopics(admin, topics, { create: !settings.production, partitions: kafka.partitions }))
      const found = await lookUp().then(
        () => true,
        (err: unknown) => {
          if (err instanceof TopicsMissing) throw err
          log.warn({ err }, 'Kafka is away: calls are served, and events wait for it')
          return false
        },
      )
      const sender = () => {
        const made = createSender(options, log)
        stops.push(() => made.close())
        return made
      }
      const both = { pool: relayPool, topics, log, ...(found ? {} : { prepare: lookUp }) }
      return {
        relay: createRelay({ ...both, named: database.pooler === 'none', sender: sender() }),
        replay: createReplay({ ...both, sender: sender() }),
      }
    }

    /** Without PostgreSQL nothing works; without Redis or Kafka calls are served all the same, so they are only named. */
    async function ready(): Promise<Readiness> {
      const postgres = await flight(db.pool, 'platform_app', [statement('select 1')], { readOnly: true, timeoutMs: 1_500 }).then(
        () => 'ok',
        () => 'away',
      )
      const cached = cache.kind === 'memory' ? 'in memory' : (await cache.ping()) ? 'ok' : 'away'
      return {
        ok: postgres === 'ok' && !draining,
        checks: { postgres, redis: cached, kafka: relay ? 'used by the relay' : 'not configured' },
      }
    }
  }

  const stop = async () => {
    draining = true
    await starting?.catch(() => {})
    for (const end of stops.splice(0).reverse()) {
      try {
        await end()
      } catch (err) {
        log.error({ err }, 'while stopping')
      }
    }
  }
  return {
    async start() {
      starting = start()
      try {
        return await starting
      } catch (err) {
        stopping ??= stop()
        await stopping
        throw err
      }
    },
    stop: () => {
      stopping ??= stop()
      return stopping
    },
  }
}

function serverTls(files: PemFiles) {
  const { cert, key, ca } = readPems(files)
  return { cert: Buffer.from(cert ?? ''), key: Buffer.from(key ?? ''), clientCa: ca === undefined ? undefined : Buffer.from(ca) }
}
