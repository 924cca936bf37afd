import type { Layer } from './call.js'
import { Fault } from './fault.js'
import { ifStream, watched } from './stream.js'

/** At most so many streams of one principal at a time, on this replica. */
export function streamLimitLayer(limit: number): Layer {
  const open = new Map<string, number>()
  return (next) => async (request, call) => {
    if (!call.streaming) return next(request, call)
    const { id } = call.principal
    const count = open.get(id) ?? 0
    if (count >= limit) throw new Fault('TOO_MANY_STREAMS', 'too many streams of this principal are open', { limit: String(limit) })
    open.set(id, count + 1)
    let closed = false
    const close = (err?: unknown) => {
      const left = (open.get(id) ?? 0) - (closed ? 0 : 1)
      closed = true
      if (left <= 0) open.delete(id)
      else open.set(id, left)
      return err
    }
    // A handler that does not mind the signal must not keep its place.
    call.onAbort(close)
    try {
      return ifStream(await next(request, call), call, (answers) => watched(answers, call, close))
    } catch (err) {
      close()
      throw err
    }
  }
}
