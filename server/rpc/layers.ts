import type { Ring } from '../keys/ring.js'
import { type AddressLimiter, addressLimitLayer } from './address-limit.layer.js'
import { authenticateLayer, type Verifier } from './authenticate.layer.js'
import { authorizeLayer } from './authorize.layer.js'
import type { Layer } from './call.js'
import { deadlineLayer } from './deadline.layer.js'
import type { OpenCalls } from './drain.layer.js'
import { faultLayer, type Unexpected } from './fault.layer.js'
import { idempotencyLayer } from './idempotency.layer.js'
import { type CallFields, logLayer } from './log.layer.js'
import { type RateLimits, rateLimitLayer } from './rate-limit.layer.js'
import { streamLimitLayer } from './stream-limit.layer.js'
import { validateLayer } from './validate.layer.js'

export interface LayerDeps {
  readonly log: (fields: CallFields) => void
  readonly unexpected: Unexpected
  readonly calls: OpenCalls
  readonly addressLimiter: AddressLimiter
  readonly verifiers: readonly Verifier[]
  readonly rateLimits: RateLimits
  /** Seals what is kept of answers with secrets. */
  readonly ring: Ring
  /** Of one principal, at a time. */
  readonly streamsMax: number
}

/** What every call passes, from the outside in. */
export function buildLayers(deps: LayerDeps): readonly Layer[] {
  return [
    logLayer(deps.log),
    faultLayer(deps.unexpected),
    deps.calls.layer,
    deadlineLayer(),
    addressLimitLayer(deps.addressLimiter),
    authenticateLayer(deps.verifiers),
    rateLimitLayer(deps.rateLimits),
    authorizeLayer(),
    validateLayer(),
    streamLimitLayer(deps.streamsMax),
    idempotencyLayer(deps.ring),
  ]
}
