const known = new WeakSet<object>()

/**
 * Marks a promise as handled: whoever awaits it still sees the rejection, and a read that nobody awaits does not end the process (its transaction
 * fails with the same error).
 */
export function absorb<T>(promise: Promise<T>): Promise<T> {
  promise.catch((error: unknown) => {
    if (typeof error === 'object' && error !== null) known.add(error)
  })
  return promise
}

/** True for an error that an absorbed promise brought: what was made of that promise on the way (by Kysely) rejects with it, and needs no handler. */
export const isAbsorbed = (error: unknown): boolean => typeof error === 'object' && error !== null && known.has(error)
