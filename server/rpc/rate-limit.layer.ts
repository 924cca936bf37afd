import type { MethodPolicy } from '../contract/policy.js'
import type { Call, Layer } from './call.js'
import { Fault } from './fault.js'

export type RateClass = MethodPolicy['rateClass']

/** What is left of somebody's calls of one class. */
export interface Rate {
  readonly allowed: boolean
  readonly limit: number
  readonly remaining: number
  readonly resetMs: number
}

/** Whose calls are counted: those with a key, those of a principal with all its keys, all that come from an address. */
export const counted = ['key', 'principal', 'address'] as const
export type Counted = (typeof counted)[number]

/** Takes a call of this class from whom it belongs to. */
export type RateLimits = (by: Counted, rateClass: RateClass, who: string) => Rate | Promise<Rate>

/**
 * Counts a call by the class that its RPC declares, before anything is read for it. The tightest of the limits stands in the trailers of every
 * answer: `ratelimit-limit`, `ratelimit-remaining`, and `ratelimit-reset` in seconds.
 */
export function rateLimitLayer(take: RateLimits): Layer {
  return (next) => async (request, call) => {
    const { rateClass } = call.policy
    let tightest: (Rate & { by: Counted }) | undefined
    // The narrowest first: what is refused uses up nothing of those who share the others.
    for (const by of counted) {
      const who = idOf[by](call)
      if (who === '') continue
      const taken = take(by, rateClass, who)
      // most calls are counted without asking anybody
      const rate = taken instanceof Promise ? await taken : taken
      if (!tightest || share(rate) < share(tightest)) tightest = { ...rate, by }
      if (!rate.allowed) break
    }
    if (!tightest) return next(request, call)
    const resetS = Math.ceil(tightest.resetMs / 1000)
    call.trailers['ratelimit-limit'] = String(tightest.limit)
    call.trailers['ratelimit-remaining'] = String(tightest.remaining)
    call.trailers['ratelimit-reset'] = String(resetS)
    if (tightest.allowed) return next(request, call)
    call.trailers['retry-after'] = String(resetS)
    const { by, limit, resetMs } = tightest
    const metadata = { by, rate_class: rateClass, limit: String(limit) }
    throw new Fault('RATE_LIMITED', `more than ${limit} calls a minute of the class ${rateClass}, by ${by}`, metadata, {
      retryAfterMs: resetMs,
    })
  }
}

/** A refusal is tighter than whatever is allowed. */
const share = ({ allowed, limit, remaining }: Rate) => (allowed ? remaining / limit : -1)

const idOf: Readonly<Record<Counted, (call: Call) => string>> = {
  address: ({ address }) => address,
  principal: ({ principal }) => principal.id,
  key: ({ principal }) => principal.keyId,
}
