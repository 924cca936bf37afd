import { setTimeout as pause } from 'node:timers/promises'

/** Waits until the predicate holds, and returns what it gave; asks every 10 ms. Its errors count as "not yet" until the time is over. */
export async function until<T>(predicate: () => T | Promise<T>, { timeoutMs }: { timeoutMs: number }): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    let failure: unknown
    try {
      const found = await predicate()
      if (found) return found
    } catch (err) {
      failure = err
    }
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms`, { cause: failure })
    await pause(10)
  }
}
