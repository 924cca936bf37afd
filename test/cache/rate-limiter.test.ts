import { randomBytes } from 'node:crypto'
import { afterAll, describe, expect, inject, it } from 'vitest'
import type { Cache } from '../../server/cache/cache.js'
import { openCache } from '../../server/cache/open-cache.js'
import { until } from '../support/until.js'

const redisUrl = inject('redisUrl')
const opened: Cache[] = []
/** Answering: before Redis does, a process counts for itself. */
const open = async (url?: string, prefix = `t${randomBytes(6).toString('hex')}:`) => {
  const cache = openCache({ url, prefix })
  opened.push(cache)
  await cache.ping()
  return cache
}
afterAll(() => Promise.all(opened.map((cache) => cache.stop())))
const limit = (points: number, durationS = 60) => ({ name: 'x', points, durationS })

describe.each([['memory', undefined] as const, ...(redisUrl ? [['redis', redisUrl] as const] : [])])('in %s', (_, url) => {
  it.each([3, 100, 1_000, 2_500])('%i calls pass and no more, however many come at once', async (points) => {
    const limiter = (await open(url)).rateLimiter(limit(points))
    const rates = await Promise.all(Array.from({ length: points + 60 }, () => limiter.take('key')))
    expect(rates.filter((it) => it.allowed).length).toBe(points)
    expect(rates.filter((it) => !it.allowed)).toEqual(
      Array.from({ length: 60 }, () => expect.objectContaining({ limit: points, remaining: 0 })),
    )
    expect(await limiter.take('another')).toMatchObject({ allowed: true, remaining: points - 1 })
  })

  it('one after the other: what remains goes down by one, the time to the end too', async () => {
    const limiter = (await open(url)).rateLimiter(limit(250))
    let last = await limiter.take('key')
    expect(last).toMatchObject({ allowed: true, limit: 250, remaining: 249 })
    for (let i = 2; i <= 250; i++) {
      const rate = await limiter.take('key')
      expect(rate).toMatchObject({ allowed: true, remaining: 250 - i })
      expect(rate.resetMs).toBeLessThanOrEqual(last.resetMs + 5)
      last = rate
    }
    expect(await limiter.take('key')).toMatchObject({ allowed: false, remaining: 0 })
  })

  it('a window that is over begins anew, in full', async () => {
    const limiter = (await open(url)).rateLimiter(limit(150, 1))
    const all = async () => (await Promise.all(Array.from({ length: 200 }, () => limiter.take('key')))).filter((it) => it.allowed).length
    expect(await all()).toBe(150)
    await until(async () => (await limiter.take('key')).allowed, { timeoutMs: 5_000 })
    // one was taken by asking
    expect(await all()).toBe(149)
  })
})

describe.runIf(redisUrl)('with several replicas on one Redis', () => {
  it('all of them together let through what one would, at most, and all but what they hold', async () => {
    const prefix = `t${randomBytes(6).toString('hex')}:`
    const replicas = await Promise.all([1, 2, 3].map(async () => (await open(redisUrl, prefix)).rateLimiter(limit(1_000))))
    const rates = await Promise.all(Array.from({ length: 1_500 }, (_, i) => replicas[i % 3]!.take('key')))
    expect(rates.filter((it) => it.allowed).length).toBe(1_000)
    const uneven = await Promise.all(Array.from({ length: 1_500 }, (_, i) => replicas[i < 5 ? 0 : 1]!.take('other')))
    const passed = uneven.filter((it) => it.allowed).length
    expect(passed).toBeLessThanOrEqual(1_000)
    expect(passed).toBeGreaterThanOrEqual(1_000 - 10)
  })

  it('whoever has nothing left costs Redis nothing until the window is over', async () => {
    const prefix = `t${randomBytes(6).toString('hex')}:`
    const cache = await open(redisUrl, prefix)
    const limiter = cache.rateLimiter(limit(5))
    await Promise.all(Array.from({ length: 50 }, () => limiter.take('key')))
    await cache.stop()
    // Redis is out of reach: an answer of its own would be a fresh count
    expect((await limiter.take('key')).allowed).toBe(false)
  })
})

it('while Redis is away each process counts for itself', async () => {
  const limiter = (await open('redis://127.0.0.1:1')).rateLimiter(limit(20))
  const rates = await Promise.all(Array.from({ length: 30 }, () => limiter.take('key')))
  expect(rates.filter((it) => it.allowed).length).toBe(20)
})
