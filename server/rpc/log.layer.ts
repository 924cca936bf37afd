import { randomUUID } from 'node:crypto'
import type { Call, Layer } from './call.js'
import { outcomeOf } from './status.js'
import { ifStream, watched } from './stream.js'

/** `method code reason duration_ms tenant principal request_id trace_id address`; `reason`, `tenant` and `principal` where there is one. */
export type CallFields = Readonly<Record<string, string | number | boolean>>

const printable = /^[\x20-\x7e]{1,128}$/
const w3c = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/

/** The caller's trace context if it is a right one of version 00; else one of our own, not sampled. */
export function traceparentOf(given: unknown): string {
  const parts = typeof given === 'string' ? w3c.exec(given) : null
  if (parts && !/^0+$/.test(parts[1]!) && !/^0+$/.test(parts[2]!)) return parts[0]
  const [trace, span] = [randomUUID(), randomUUID()]
  const hex = trace.slice(0, 8) + trace.slice(9, 13) + trace.slice(14, 18) + trace.slice(19, 23) + trace.slice(24)
  return `00-${hex}-${span.slice(0, 8)}${span.slice(28)}-00`
}

/** The caller's x-request-id, if it can stand in logs and headers; else one of our own. */
export function requestIdOf(given: unknown): string {
  return typeof given === 'string' && printable.test(given) ? given : randomUUID()
}

/** Settles request id and trace context, and writes one line a call when it is over. */
export function logLayer(log: (fields: CallFields) => void): Layer {
  return (next) => async (request, given) => {
    const start = performance.now()
    const traceparent = traceparentOf(given.metadata.get('traceparent')[0])
    const call = { ...given, requestId: requestIdOf(given.metadata.get('x-request-id')[0]), traceparent }
    call.log['request_id'] = call.requestId
    call.trailers['x-request-id'] = call.requestId
    const over = (err?: unknown) => {
      log(lineOf(call, start, err))
      return err
    }
    try {
      const answer = await next(request, call)
      if (!call.streaming) over()
      return ifStream(answer, call, (answers) => watched(answers, call, over))
    } catch (err) {
      over(err)
      throw err
    }
  }
}

function lineOf(call: Call, start: number, err: unknown): CallFields {
  const outcome = err === undefined ? { code: 'OK' } : outcomeOf(err)
  const durationMs = Math.round((performance.now() - start) * 1000) / 1000
  return {
    method: call.method,
    ...outcome,
    duration_ms: durationMs,
    trace_id: call.traceparent.slice(3, 35),
    address: call.address,
    ...call.log,
  }
}
