import type { Call } from './call.js'

/** Applies `wrap` to the answer of a streaming call, and leaves a unary one alone. */
export function ifStream<S>(answer: S, call: Call, wrap: (answers: AsyncIterable<unknown>) => AsyncIterable<unknown>): S {
  return call.streaming ? (wrap(answer as AsyncIterable<unknown>) as S) : answer
}

/**
 * The same answers, with `ended` called once when they are over: with the error that ended them, or with what ended the call when the consumer
 * turns away from them before their end. What `ended` returns is thrown in the place of the error.
 */
export async function* watched<T>(answers: AsyncIterable<T>, call: Call, ended: (err?: unknown) => unknown): AsyncGenerator<T> {
  let over = false
  const once = (err?: unknown) => {
    over = true
    return ended(err)
  }
  try {
    for await (const answer of answers) yield answer
    once()
  } catch (err) {
    throw over ? err : once(err)
  } finally {
    if (!over) once(call.signal.reason)
  }
}

/** The same answers, until the call's signal fires: then its reason is thrown at once, whatever the source is waiting for. */
export async function* untilAborted<T>(answers: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const source = answers[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await orAborted(source.next(), signal)
      if (next.done) return
      yield next.value
    }
  } finally {
    // Not awaited: a source that does not mind the signal would hold up the answer. What its clean-up throws concerns nobody any more.
    source.return?.().then(undefined, () => undefined)
  }
}

/** Settles as the promise does, or rejects with the signal's reason, whichever is first. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    const done = () => signal.removeEventListener('abort', stop)
    promise.then(
      (value) => {
        done()
        resolve(value)
      },
      (err) => {
        done()
        reject(err)
      },
    )
  })
}
