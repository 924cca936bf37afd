import type { WatchEventsRequest, WatchEventsResponse } from '../../../gen/customer/event/v1/event_service.js'
import type { Database } from '../../db/database.js'
import { inTenant } from '../../db/in-tenant.js'
import { type EventRow, sequenceText } from '../../outbox/envelope.js'
import type { Poll } from '../../outbox/poll.js'
import type { Call, StreamHandler } from '../../rpc/call.js'
import { Fault } from '../../rpc/fault.js'
import { readEvents } from './events.repo.js'
import { filterOf, pageOf } from './events.rules.js'
import { eventToWire } from './events.wire.js'
import { bell, briefly, guardStream, withCursor } from './watch.guard.js'

export interface WatchTimings {
  /** From one answer to the next, at most. */
  readonly heartbeatMs: number
  /** From one authorization to the next, at most. */
  readonly authorizeMs: number
  readonly lifetimeMs: number
}

/** The contract's; authorized a little more often than every second, since within that a revocation must have ended the stream. */
export const watchTimings: WatchTimings = { heartbeatMs: 15_000, authorizeMs: 800, lifetimeMs: 900_000 }
const batchMax = 500

export function watchEvents(db: Database, poll: Poll, timings = watchTimings): StreamHandler<WatchEventsRequest, WatchEventsResponse> {
  return async (request, call) => watch(db, poll, timings, request, call)
}

/** Every batch is read in a transaction of its own, whose first flight authorizes it; between the batches the guard does. */
async function* watch(
  db: Database,
  poll: Poll,
  { heartbeatMs, ...timings }: WatchTimings,
  request: WatchEventsRequest,
  call: Call,
): AsyncGenerator<WatchEventsResponse> {
  let filter = filterOf(request, batchMax)
  // What the reader surely has, or need not have: moved on behind each answer, so that whoever goes on from a fault's cursor misses nothing.
  let reached = filter.after
  const cursor = () => (reached === null ? undefined : sequenceText(reached))
  const answer = (events: readonly EventRow[], last: bigint) => ({ events: events.map(eventToWire), lastSequence: sequenceText(last) })
  const news = bell()
  const watched = poll.watch(call.tenantId, news.ring)
  // The drain, the guard and the layers know nothing of a cursor.
  call.refineAbort((fault) => withCursor(fault, cursor()))
  const takeGuardOff = guardStream(db, call, poll, timings)
  call.signal.addEventListener('abort', news.ring)
  try {
    for (let beatAtMs = performance.now() + heartbeatMs; ; ) {
      call.signal.throwIfAborted()
      const page = await briefly(call, (brief) => inTenant(db, brief, async (tx) => pageOf(await readEvents(tx, filter), filter)))
      const last = page.lastSequence
      // A filter that finds nothing for long tells all the same how far it has looked.
      if (page.events.length > 0 || page.more) {
        yield answer(page.events, last)
        beatAtMs = performance.now() + heartbeatMs
      }
      reached = String(last)
      filter = { ...filter, after: reached }
      while (!call.signal.aborted && !page.more && (watched.seen()?.domainSequence ?? 0n) <= last) {
        if (performance.now() >= beatAtMs) {
          yield answer([], last)
          beatAtMs = performance.now() + heartbeatMs
        }
        await news.wait(beatAtMs - performance.now())
      }
    }
  } catch (err) {
    throw err instanceof Fault ? withCursor(err, cursor()) : err
  } finally {
    call.signal.removeEventListener('abort', news.ring)
    takeGuardOff()
    watched.end()
  }
}
