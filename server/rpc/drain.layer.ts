import type { Call, Layer } from './call.js'
import { Fault } from './fault.js'
import { ifStream, watched } from './stream.js'

/** The calls that are under way, for the drain to end. */
export interface OpenCalls {
  readonly layer: Layer
  /** Ends all streams with UNAVAILABLE SHUTTING_DOWN, and refuses new ones from now on. */
  endStreams(): void
  /** Ends what is left in the same way. */
  endAll(): void
}

const shuttingDown = () => new Fault('SHUTTING_DOWN', 'this replica is shutting down; call again')

export function openCalls(): OpenCalls {
  const open = new Set<Call>()
  let draining = false
  const layer: Layer = (next) => async (request, call) => {
    if (draining && call.streaming) throw shuttingDown()
    open.add(call)
    const close = (err?: unknown) => {
      open.delete(call)
      return err
    }
    try {
      const answer = await next(request, call)
      if (!call.streaming) close()
      return ifStream(answer, call, (answers) => watched(answers, call, close))
    } catch (err) {
      close()
      throw err
    }
  }
  const end = (which: (call: Call) => boolean) => {
    for (const call of open) if (which(call)) call.abort(shuttingDown())
  }
  return {
    layer,
    endStreams() {
      draining = true
      end((call) => call.streaming)
    },
    endAll: () => end(() => true),
  }
}
