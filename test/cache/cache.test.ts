import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { addressKey } from '../../server/cache/address-key.js'
import type { Cache } from '../../server/cache/cache.js'
import { openCache } from '../../server/cache/open-cache.js'
import { freePort } from '../../server/dev/free-port.js'
import { haveRedis, type RedisServer, startRedis } from './redis-server.js'

const opened: Cache[] = []
const open = (url?: string, prefix = `t${randomBytes(6).toString('hex')}:`) => {
  const cache = openCache({ url, prefix })
  opened.push(cache)
  return cache
}
afterAll(() => Promise.all(opened.map((cache) => cache.stop())))
const within = async <T>(ms: number, work: Promise<T>): Promise<T> => {
  const begun = performance.now()
  const result = await work
  expect(performance.now() - begun).toBeLessThan(ms + 2_000)
  return result
}

describe('whom a limit by address counts as one', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    ['2001:db8:1:2::', '2001:db8:1:2::'],
    ['2001:0DB8:0001:0002::ffff', '2001:db8:1:2::'],
    ['2001:db8:1:3::ffff', '2001:db8:1:3::'],
    ['::1', '0:0:0:0::'],
    ['fe80::1%eth0', 'fe80:0:0:0::'],
    ['64:ff9b::203.0.113.7', '64:ff9b:0:0::'],
    ['', 'unknown'],
    ['/run/socket', 'unknown'],
    ['203.0.113.7:443', 'unknown'],
  ])('%s is %s', (address, key) => expect(addressKey(address)).toBe(key))
})

let server: RedisServer
beforeAll(async () => {
  if (haveRedis) server = await startRedis()
})
afterAll(() => server?.stop())
const urlOf = () => `redis://127.0.0.1:${server.port}`

describe.each(['memory', 'redis'] as const)('in %s', (kind) => {
  const url = () => (kind === 'redis' ? urlOf() : undefined)

  it.skipIf(kind === 'redis' && !haveRedis)('answers', async () => {
    const cache = open(url())
    expect(cache.kind).toBe(kind)
    expect(await cache.ping()).toBe(true)
  })

  it.skipIf(kind === 'redis' && !haveRedis)('carries messages to whoever listens to their channel, until it stops listening', async () => {
    const cache = open(url())
    const [heard, other]: [string[], string[]] = [[], []]
    const end = cache.subscribe('kicks', (text) => heard.push(text))
    cache.subscribe('others', (text) => other.push(text))
    await cache.ping()
    await vi.waitFor(() => {
      cache.publish('kicks', 'tnt_1')
      expect(heard).toContain('tnt_1')
    })
    end()
    cache.publish('kicks', 'last')
    await vi.waitFor(() => {
      cache.publish('others', 'x')
      expect(other).toContain('x')
    })
    expect(heard).not.toContain('last')
  })

  it.skipIf(kind === 'redis' && !haveRedis)('blocks an address behind its n-th failure, and it alone', async () => {
    const cache = open(url())
    await cache.ping()
    const limiter = cache.failureLimiter({ points: 3, durationS: 60 })
    for (let failure = 1; failure <= 3; failure++) {
      expect(await limiter.blocked('2001:db8::1')).toBe(0)
      await limiter.failed('2001:db8::2')
    }
    expect(await limiter.blocked('2001:db8::3')).toBeGreaterThan(50_000)
    expect(await limiter.blocked('2001:db8:0:1::1')).toBe(0)
    expect(await limiter.blocked('127.0.0.1')).toBe(0)
  })

  it.skipIf(kind === 'redis' && !haveRedis)('unblocks when the time is over', async () => {
    const cache = open(url())
    await cache.ping()
    const limiter = cache.failureLimiter({ points: 1, durationS: 1 })
    await limiter.failed('127.0.0.1')
    const ms = await limiter.blocked('127.0.0.1')
    expect(ms).toBeGreaterThan(0)
    expect(ms).toBeLessThanOrEqual(1_000)
    await vi.waitFor(async () => expect(await limiter.blocked('127.0.0.1')).toBe(0), { timeout: 2_000, interval: 50 })
  })
})

describe.skipIf(!haveRedis)('replicas on one Redis', () => {
  it('hear and count each other, unless their prefixes differ', async () => {
    const [a, b, foreign] = [open(urlOf(), 'same:'), open(urlOf(), 'same:'), open(urlOf(), 'other:')]
    await Promise.all([a, b, foreign].map((cache) => cache.ping()))
    const heard: string[] = []
    b.subscribe('kicks', (text) => heard.push(`b ${text}`))
    foreign.subscribe('kicks', (text) => heard.push(`foreign ${text}`))
    await vi.waitFor(() => {
      a.publish('kicks', 'x')
      foreign.publish('kicks', 'y')
      expect(heard).toContain('b x')
      expect(heard).toContain('foreign y')
    })
    expect(heard).not.toContain('b y')
    expect(heard).not.toContain('foreign x')
    const [limitA, limitB, limitForeign] = [a, b, foreign].map((cache) => cache.failureLimiter({ points: 2, durationS: 60 }))
    await limitA!.failed('127.0.0.1')
    await limitB!.failed('127.0.0.1')
    expect(await limitA!.blocked('127.0.0.1')).toBeGreaterThan(0)
    expect(await limitB!.blocked('127.0.0.1')).toBeGreaterThan(0)
    expect(await limitForeign!.blocked('127.0.0.1')).toBe(0)
  })
})

describe('Redis away', () => {
  it('from the start: the limit holds in this process, nothing waits, nothing is thrown', async () => {
    const said: string[] = []
    const cache = openCache({
      url: `redis://127.0.0.1:${await freePort()}`,
      prefix: 't:',
      log: { info: (_, msg) => said.push(msg), warn: (_, msg) => said.push(msg) },
    })
    opened.push(cache)
    const limiter = cache.failureLimiter({ points: 2, durationS: 60 })
    cache.subscribe('kicks', () => {})
    cache.publish('kicks', 'x')
    expect(await within(1_600, cache.ping())).toBe(false)
    for (let i = 0; i < 2; i++) {
      expect(await within(100, limiter.blocked('127.0.0.1'))).toBe(0)
      await within(100, limiter.failed('127.0.0.1'))
    }
    expect(await within(100, limiter.blocked('127.0.0.1'))).toBeGreaterThan(0)
    expect(said).toHaveLength(1)
  })

  it.skipIf(!haveRedis)('stopped with SIGSTOP: a call waits 250 ms at most, later ones not at all; then it is used again', async () => {
    const own = await startRedis()
    try {
      const cache = open(`redis://127.0.0.1:${own.port}`)
      const heard: string[] = []
      cache.subscribe('kicks', (text) => heard.push(text))
      await cache.ping()
      const limiter = cache.failureLimiter({ points: 3, durationS: 60 })
      await limiter.failed('192.0.2.1')
      own.signal('SIGSTOP')
      for (let i = 0; i < 5; i++) await within(250, limiter.blocked(`192.0.2.${i}`))
      await vi.waitFor(() => within(20, limiter.failed('192.0.2.77')), { timeout: 3_000 })
      for (let i = 0; i < 20; i++) await within(20, limiter.failed('192.0.2.99'))
      expect(await within(20, limiter.blocked('192.0.2.99'))).toBeGreaterThan(0)
      own.signal('SIGCONT')
      await vi.waitFor(async () => expect(await cache.ping()).toBe(true), { timeout: 5_000 })
      await vi.waitFor(
        () => {
          cache.publish('kicks', 'back')
          expect(heard).toContain('back')
        },
        { timeout: 5_000 },
      )
      // what Redis counted before is still there
      await limiter.failed('192.0.2.1')
      await limiter.failed('192.0.2.1')
      expect(await limiter.blocked('192.0.2.1')).toBeGreaterThan(0)
    } finally {
      own.signal('SIGCONT')
      await own.stop()
    }
  })

  it.skipIf(!haveRedis)('killed and started again: listeners hear again', async () => {
    const own = await startRedis()
    try {
      const cache = open(`redis://127.0.0.1:${own.port}`)
      const heard: string[] = []
      cache.subscribe('kicks', (text) => heard.push(text))
      await cache.ping()
      own.signal('SIGKILL')
      await vi.waitFor(async () => expect(await within(300, cache.ping())).toBe(false))
      await own.restart()
      await vi.waitFor(
        () => {
          cache.publish('kicks', 'back')
          expect(heard).toContain('back')
        },
        { timeout: 5_000 },
      )
    } finally {
      await own.stop()
    }
  })
})
