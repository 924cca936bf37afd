import { setTimeout as sleep } from 'node:timers/promises'
import { Redis, type RedisOptions } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible'
import type { Pems } from '../keys/pem-files.js'
import type { Log } from '../telemetry/log.js'
import type { Cache, FailureLimit } from './cache.js'
import { failureLimiterOver } from './failure-limiter.js'
import { rateLimiterOver } from './rate-limiter.js'

export interface RedisCacheOptions {
  readonly url: string
  /** Begins every key and channel. */
  readonly prefix: string
  /** Unset: plain text, whatever the URL's scheme. Set: certificate and name are verified. */
  readonly tls?: Pems | undefined
  /** Told once when Redis goes away and once when it is back. */
  readonly log?: Pick<Log, 'info' | 'warn'> | undefined
}

/** A command that Redis doesn't answer in this time has failed. */
const commandTimeoutMs = 200
/**
 * A connection on which nothing comes back for so long is given up. Until another one has said that it is ready, every command fails at
 * once: so a Redis that hangs costs one command's wait for as long as it hangs, and not one for each call.
 */
const silentMs = 400
const pingWithinMs = 1_500

export function openRedisCache({ url, prefix, tls, log }: RedisCacheOptions): Cache {
  const redis = new Redis(redisOptions(url, tls, 'customer-management'))
  watch(redis, log)
  let subscriber: Redis | undefined
  let pulse: NodeJS.Timeout | undefined
  const listeners = new Map<string, Set<(text: string) => void>>()

  /** Of its own, since a connection that listens can't ask; made by the first listener. */
  const subscribing = (): Redis => {
    if (subscriber) return subscriber
    const made = new Redis(redisOptions(url, tls, 'customer-management:listener'))
    made.on('error', () => {}) // `redis` tells of it
    made.on('ready', () => {
      const channels = [...listeners.keys()]
      if (channels.length > 0) made.subscribe(...channels).catch(() => made.disconnect(true))
    })
    made.on('message', (channel: string, text: string) => {
      for (const listener of listeners.get(channel) ?? []) listener(text)
    })
    // whoever only listens doesn't notice that the other end is gone, unless it asks
    pulse = setInterval(() => made.ping().catch(() => {}), 2_000).unref()
    subscriber = made
    return made
  }

  /** In Redis, by its scripts; while that is away, in this process. */
  const counting = (name: string, { points, durationS: duration }: FailureLimit) => {
    const insuranceLimiter = new RateLimiterMemory({ points, duration })
    return new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: prefix + name,
      points,
      duration,
      rejectIfRedisNotReady: true,
      insuranceLimiter,
    })
  }

  return {
    kind: 'redis',
    publish: (channel, text) => {
      redis.publish(prefix + channel, text).catch(() => {})
    },
    subscribe: (channel, listener) => {
      const name = prefix + channel
      const held = listeners.get(name) ?? new Set()
      held.add(listener)
      if (held.size === 1) {
        listeners.set(name, held)
        const connection = subscribing()
        if (connection.status === 'ready') connection.subscribe(name).catch(() => connection.disconnect(true))
      }
      return () => {
        held.delete(listener)
        if (held.size > 0 || listeners.get(name) !== held) return
        listeners.delete(name)
        subscriber?.unsubscribe(name).catch(() => {})
      }
    },
    failureLimiter: (limit) => failureLimiterOver(counting('auth-failures', limit)),
    rateLimiter: (limit) => rateLimiterOver(counting(`rate:${limit.name}`, limit)),
    ping: () => ping(redis),
    stop: async () => {
      clearInterval(pulse)
      listeners.clear()
      redis.disconnect()
      subscriber?.disconnect()
    },
  }
}

function redisOptions(url: string, tls: Pems | undefined, connectionName: string): Omit<RedisOptions, 'replyMapping'> {
  const { hostname, port, username, password, pathname } = new URL(url)
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 6379 : Number(port),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    db: Number(pathname.slice(1)) || 0,
    ...(tls ? { tls: { ...tls } } : {}),
    connectionName,
    connectTimeout: 1_000,
    commandTimeout: commandTimeoutMs,
    socketTimeout: silentMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) * (0.5 + Math.random() / 2),
  }
}

function watch(redis: Redis, log: RedisCacheOptions['log']): void {
  let away: boolean | undefined
  // without a listener an error would end the process
  redis.on('error', (err: Error) => {
    if (away !== true)
      log?.warn(
        { err },
        'Redis is away: calls and failed authentications are counted in this process alone, and events leave a little later',
      )
    away = true
  })
  redis.on('ready', () => {
    if (away) log?.info({}, 'Redis is back')
    away = false
  })
}

async function ping(redis: Redis): Promise<boolean> {
  const until = performance.now() + pingWithinMs - commandTimeoutMs
  while (performance.now() < until && redis.status === 'connecting') await sleep(20)
  while (performance.now() < until && redis.status === 'connect') await sleep(20)
  return redis.ping().then(
    () => true,
    () => false,
  )
}
