import type { Layer } from './call.js'
import { Fault } from './fault.js'

/** Failed authentications by address. Every call asks `blocked`, so it answers from memory; `failed` may go and count elsewhere. */
export interface AddressLimiter {
  /** For how many more milliseconds nothing is accepted from there; 0: the way is free. */
  blocked(address: string): Promise<number>
  failed(address: string): Promise<void>
}

/** Refuses an address that has shown too many wrong credentials, before any of them is looked at. A missing one is not counted. */
export function addressLimitLayer(limiter: AddressLimiter): Layer {
  return (next) => async (request, call) => {
    const retryAfterMs = await limiter.blocked(call.address)
    if (retryAfterMs > 0) {
      throw new Fault('AUTH_FAILURES', 'too many failed authentications from this address', {}, { retryAfterMs })
    }
    try {
      return await next(request, call)
    } catch (err) {
      if (err instanceof Fault && err.reason === 'CREDENTIAL_INVALID') await limiter.failed(call.address)
      throw err
    }
  }
}
