/**
 * Marks a promise as handled: whoever awaits it still sees the rejection, and a read that nobody awaits does not end the process (its transaction
 * fails with the same error).
 */
export function absorb<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
