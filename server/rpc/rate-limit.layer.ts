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

/** Whose calls are counted: all that come from an address, those of a principal, those with one of its keys. */
export const counted = ['address', 'principal', 'key'] as const
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
    const asked = counted.filter((by) => idOf[by](call) !== '')
    const taken = asked.map((by) => take(by, rateClass, idOf[by](call)))
    // most calls are counted without asking anybody
    const rates = taken.some((it) => it instanceof Promise) ? await Promise.all(taken) : (taken as Rate[])
    const tightest = rates.reduce((one, other) => (share(other) < share(one) ? other : one))
    const resetS = Math.ceil(tightest.resetMs / 1000)
    call.trailers['ratelimit-limit'] = String(tightest.limit)
    call.trailers['ratelimit-remaining'] = String(tightest.remaining)
    call.trailers['ratelimit-reset'] = String(resetS)
    if (tightest.allowed) return next(request, call)
    call.trailers['retry-after'] = String(resetS)
    const { limit, resetMs } = tightest
    const by = asked[rates.indexOf(tightest)]!
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
