import type { RateLimiterAbstract } from 'rate-limiter-flexible'
import { addressKey } from './address-key.js'
import type { FailureLimiter } from './cache.js'

/** An address without failures of late is asked after at most so often, so that good callers don't cost a round trip each. */
const cleanForMs = 1_000
const cleanMax = 10_000

/**
 * Over a limiter of rate-limiter-flexible that counts here or in Redis. What this process counts is known to it at once; what other
 * replicas count, after a second at most.
 */
export function failureLimiterOver(limiter: RateLimiterAbstract): FailureLimiter {
  const cleanUntil = new Map<string, number>()
  return {
    async blocked(address) {
      const key = addressKey(address)
      if ((cleanUntil.get(key) ?? 0) > performance.now()) return 0
      const found = await limiter.get(key)
      if (found && found.consumedPoints >= limiter.points) return Math.max(1, found.msBeforeNext)
      cleanUntil.delete(key)
      cleanUntil.set(key, performance.now() + cleanForMs)
      if (cleanUntil.size > cleanMax) cleanUntil.delete(cleanUntil.keys().next().value!)
      return 0
    },
    async failed(address) {
      const key = addressKey(address)
      const { consumedPoints } = await limiter.penalty(key)
      if (consumedPoints >= limiter.points) cleanUntil.delete(key)
    },
  }
}
