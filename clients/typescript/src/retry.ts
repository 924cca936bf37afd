import { onAbort } from './abort.js'
import type { CustomerManagementError } from './error.js'

/** Attempts of one call, the first included. */
export const attemptsMax = 4
const baseMs = 250
const capMs = 5_000

/** Full jitter: anywhere between nothing and the doubled step, so that callers who failed together do not come back together. */
export const backoffMs = (failures: number) => Math.random() * Math.min(capMs, baseMs * 2 ** (failures - 1))

/** How long to wait after the n-th failure in a row; undefined: trying again cannot help, or might do harm. */
export function retryDelayMs(error: CustomerManagementError, failures: number): number | undefined {
  const transient =
    error.code === 'UNAVAILABLE' ||
    // Not the service's answer, which has a reason, nor the caller's abort, which never comes here: the peer dropped the stream with its connection.
    (error.code === 'CANCELLED' && error.reason === undefined) ||
    (error.code === 'ABORTED' && error.reason === 'CONFLICT') ||
    (error.code === 'RESOURCE_EXHAUSTED' && error.retryAfterMs !== undefined)
  return transient ? (error.retryAfterMs ?? 0) + backoffMs(failures) : undefined
}

/** Resolves after `ms`, or as soon as one of the signals is aborted. */
export function wait(ms: number, ...signals: readonly (AbortSignal | undefined)[]): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      stop()
      resolve()
    }, ms)
    const stop = onAbort(signals, () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
