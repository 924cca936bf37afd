import type { Layer } from './call.js'
import { Fault } from './fault.js'
import { ifStream, orAborted, untilAborted, watched } from './stream.js'

/** Of unary calls, where the caller gives none. */
const defaultMs = 10_000
/** Of unary calls, however long the caller would wait. */
const longestMs = 30_000
/** setTimeout takes no more: a stream's deadline beyond 24 days is none. */
const timerMaxMs = 2 ** 31 - 1

/**
 * Settles the deadline and answers when it has passed, or when the call is ended otherwise, at once, whatever the handler is waiting for.
 * Streams have the caller's deadline alone.
 */
export function deadlineLayer(): Layer {
  return (next) => async (request, given) => {
    const asked = given.callerDeadline - Date.now()
    const timeoutMs = given.streaming ? asked : Math.min(asked === Number.POSITIVE_INFINITY ? defaultMs : asked, longestMs)
    const call = { ...given, deadline: performance.now() + timeoutMs }
    const passed = () => call.abort(new Fault('DEADLINE', 'the deadline has passed; the work was stopped'))
    if (timeoutMs <= 0) passed()
    const timer = timeoutMs <= timerMaxMs ? setTimeout(passed, timeoutMs) : undefined
    const stop = (err?: unknown) => {
      clearTimeout(timer)
      return err
    }
    try {
      if (call.signal.aborted) throw call.signal.reason
      const answer = await orAborted(next(request, call), call.signal)
      if (!call.streaming) stop()
      return ifStream(answer, call, (answers) => watched(untilAborted(answers, call.signal), call, stop))
    } catch (err) {
      stop()
      throw err
    }
  }
}
