import type { Call, Layer } from './call.js'
import { Fault, Internal } from './fault.js'
import { ifStream, watched } from './stream.js'

/** Told of every throw that was no Fault, with its cause; `fields` find the call's line. */
export type Unexpected = (err: unknown, fields: { method: string; request_id: string; trace_id: string }) => void

/** A Fault stays; whatever else a handler throws, at once, later, or in the midst of a stream, becomes INTERNAL with a fixed text. */
export function faultLayer(unexpected: Unexpected): Layer {
  const faultOf = (err: unknown, call: Call) => {
    if (err instanceof Fault) return err
    unexpected(err, { method: call.method, request_id: call.requestId, trace_id: call.traceparent.slice(3, 35) })
    return new Internal(err)
  }
  return (next) => async (request, call) => {
    try {
      const answer = await next(request, call)
      return ifStream(answer, call, (answers) => watched(answers, call, (err) => (err === undefined ? undefined : faultOf(err, call))))
    } catch (err) {
      throw faultOf(err, call)
    }
  }
}
