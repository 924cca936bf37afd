import { Redis } from 'ioredis'
import type { Cache } from '../server/cache/cache.js'
import { openCache } from '../server/cache/open-cache.js'
import { startRedis } from '../test/support/redis.js'
import { type Line, ms, us } from './line.js'
import { percentile } from './median.js'
import { interleave, type Side } from './sides.js'
import type { Stage } from './stage.js'

/** What a call pays at each limiter, beside asking Redis for a key. In this process, 32 under way, 100 callers in turn. */
export async function limits(stage: Stage): Promise<Line[]> {
  const redis = await startRedis()
  stage.onStop(() => redis.stop())
  const prefix = 'bench:'
  const [memory, shared] = [openCache({ url: undefined, prefix }), openCache({ url: redis.url, prefix })]
  const client = new Redis(redis.url, { lazyConnect: false })
  stage.onStop(async () => {
    client.disconnect()
    await Promise.all([memory.stop(), shared.stop()])
  })
  await shared.ping()
  const take = (cache: Cache, name: string, points: number) => {
    const limiter = cache.rateLimiter({ name, points, durationS: 60 })
    return taking(async (who) => limiter.take(who))
  }
  const failures = shared.failureLimiter({ points: 50, durationS: 60 })
  const sides = {
    memory: take(memory, 'memory', 100_000_000),
    shared: take(shared, 'shared', 6_000_000),
    small: take(shared, 'small', 99),
    failures: taking((who) => failures.blocked(who)),
    get: taking((who) => client.get(who)),
  }
  const found = await interleave(sides, { warmCalls: 20_000, rounds: 4, ms: 500 })
  const line = (operation: string, name: keyof typeof sides): Line => ({
    operation,
    ours: `${us(found.of(name, 'cpuUs'))} of CPU, p50 ${ms(found.of(name, 'p50Ms'))}`,
    limit: `${us(found.of('get', 'cpuUs'))} of CPU, p50 ${ms(found.of('get', 'p50Ms'))}`,
    result: `${found.ratio(name, 'get', 'cpuUs').toFixed(2)} ×`,
    goal: '',
  })
  return [
    line('rate limit, counted in this process; limit: GET of Redis', 'memory'),
    line('– in Redis, a hundredth of the limit at a time', 'shared'),
    line('– in Redis, asked each time (a limit below 200), most refused', 'small'),
    line('failed authentications of an address, in Redis', 'failures'),
  ]
}

function taking(take: (who: string) => Promise<unknown>): Side {
  return {
    async slice(lengthMs) {
      const { user, system } = process.cpuUsage()
      const [start, tookMs] = [performance.now(), [] as number[]]
      const end = start + lengthMs
      const one = async (i: number) => {
        for (let n = i; performance.now() < end; n++) {
          const asked = performance.now()
          await take(`198.51.100.${n % 100}`)
          tookMs.push(performance.now() - asked)
          // the other end has a turn too
          if (n % 50 === 0) await new Promise(setImmediate)
        }
      }
      await Promise.all(Array.from({ length: 32 }, (_, i) => one(i)))
      const used = process.cpuUsage({ user, system })
      const calls = tookMs.length
      const elapsedS = (performance.now() - start) / 1000
      tookMs.sort((a, b) => a - b)
      return {
        perSecond: calls / elapsedS,
        p50Ms: percentile(tookMs, 50),
        p99Ms: percentile(tookMs, 99),
        cpuUs: (used.user + used.system) / calls,
        calls,
      }
    },
  }
}
