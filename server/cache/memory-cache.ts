import { EventEmitter } from 'node:events'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { Cache } from './cache.js'
import { failureLimiterOver } from './failure-limiter.js'
import { rateLimiterOver } from './rate-limiter.js'

/** The stand-in: one process alone. */
export function openMemoryCache(): Cache {
  const channels = new EventEmitter().setMaxListeners(0)
  return {
    kind: 'memory',
    publish: (channel, text) => {
      // later, as from a network: a publisher must not find its listeners on its own stack
      setImmediate(() => channels.emit(`:${channel}`, text))
    },
    subscribe: (channel, listener) => {
      channels.on(`:${channel}`, listener)
      return () => channels.off(`:${channel}`, listener)
    },
    failureLimiter: ({ points, durationS }) => failureLimiterOver(new RateLimiterMemory({ points, duration: durationS })),
    rateLimiter: ({ points, durationS }) => rateLimiterOver(new RateLimiterMemory({ points, duration: durationS })),
    ping: async () => true,
    stop: async () => {
      channels.removeAllListeners()
    },
  }
}
