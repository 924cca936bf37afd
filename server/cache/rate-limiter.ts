import { type RateLimiterAbstract, RateLimiterRes } from 'rate-limiter-flexible'
import type { Rate, RateLimiter } from './cache.js'

/** Of a hundred parts of a limit one is fetched at a time: so many calls cost one round trip. */
const parts = 100
const keysMax = 10_000

interface Bucket {
  /** Fetched, and not spent yet. */
  left: number
  /** Those that nobody has fetched. */
  remaining: number
  /** By performance.now(). */
  endsAt: number
  readonly waiting: ((rate: Rate) => void)[]
}

/**
 * Over a limiter of rate-limiter-flexible, which counts here or in Redis. A replica fetches a part of a key's calls at a time and gives them out
 * by itself; what it has fetched and not given out when the window ends is lost. So over all replicas no more than the limit passes, ever, and
 * `remaining` may be higher than is told by what the replicas hold.
 */
export function rateLimiterOver(limiter: RateLimiterAbstract): RateLimiter {
  const { points } = limiter
  const part = Math.max(1, Math.floor(points / parts))
  const buckets = new Map<string, Bucket>()

  const told = (it: Bucket, allowed: boolean): Rate => ({
    allowed,
    limit: points,
    remaining: it.left + it.remaining,
    resetMs: Math.max(1, it.endsAt - performance.now()),
  })
  const open = (it: Bucket) => it.endsAt > performance.now()
  const spent = (it: Bucket) => it.left === 0 && it.remaining === 0

  /** Hands out what is held; undefined: more has to be fetched. */
  function give(it: Bucket): Rate | undefined {
    if (!open(it)) return undefined
    if (it.left > 0) {
      it.left--
      return told(it, true)
    }
    return spent(it) ? told(it, false) : undefined
  }

  async function fetch(key: string, it: Bucket): Promise<void> {
    while (it.waiting.length > 0) {
      const wanted = Math.max(part, it.waiting.length)
      const found = await limiter.consume(key, wanted).catch((err: unknown) => (err instanceof RateLimiterRes ? err : undefined))
      if (!found) {
        // a fault of ours refuses nobody
        for (const resolve of it.waiting.splice(0)) resolve(told(it, true))
        return
      }
      // what is counted beyond the limit was never there to be had
      const granted = Math.min(wanted, Math.max(0, points - (found.consumedPoints - wanted)))
      it.left = granted + (open(it) && !found.isFirstInDuration ? it.left : 0)
      it.remaining = Math.max(0, points - found.consumedPoints)
      it.endsAt = performance.now() + Math.max(1, found.msBeforeNext)
      for (let rate = give(it); rate; rate = it.waiting.length > 0 ? give(it) : undefined) it.waiting.shift()!(rate)
    }
  }

  return {
    take(key) {
      const it = buckets.get(key) ?? { left: 0, remaining: points, endsAt: 0, waiting: [] }
      // the least used are forgotten first
      buckets.delete(key)
      buckets.set(key, it)
      if (buckets.size > keysMax) buckets.delete(buckets.keys().next().value!)
      const rate = it.waiting.length === 0 ? give(it) : undefined
      if (rate) return rate
      return new Promise((resolve) => {
        it.waiting.push(resolve)
        // those of the same turn are asked for together
        if (it.waiting.length === 1) queueMicrotask(() => void fetch(key, it))
      })
    },
  }
}
