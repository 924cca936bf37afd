import type { Call, Handler, Layer } from './call.js'
import { Fault } from './fault.js'
import { ifStream, watched } from './stream.js'

/** At most so many streams of one principal at a time, on this replica. */
export function streamLimitLayer(limit: number): Layer {
  const open = new Map<string, number>()
  const enter = (id: string) => {
    const count = open.get(id) ?? 0
    if (count >= limit)
      throw new Fault('TOO_MANY_STREAMS', 'too many streams of this principal are open', { limit: String(limit) }, { retryAfterMs: 1_000 })
    open.set(id, count + 1)
  }
  const leave = (id: string) => {
    const left = (open.get(id) ?? 0) - 1
    if (left > 0) open.set(id, left)
    else open.delete(id)
  }
  const counted = async <Q, S>(next: Handler<Q, S>, request: Q, call: Call): Promise<S> => {
    const { id } = call.principal
    call.signal.throwIfAborted()
    enter(id)
    let left = false
    const close = (err?: unknown) => {
      if (!left) leave(id)
      left = true
      return err
    }
    // A handler that does not mind the signal must not keep its place.
    call.signal.addEventListener('abort', () => close(), { once: true })
    try {
      return ifStream(await next(request, call), call, (answers) => watched(answers, call, close))
    } catch (err) {
      close()
      throw err
    }
  }
  return (next) => (request, call) => (call.streaming ? counted(next, request, call) : next(request, call))
}
