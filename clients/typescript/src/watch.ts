import type { ClientReadableStream } from '@grpc/grpc-js'
import { onAbort } from './abort.js'
import { CustomerManagementError, toError } from './error.js'
import { attemptsMax, retryDelayMs, wait } from './retry.js'
import type { CallOptions, Method, Transport } from './transport.js'

/** Of one watch; it has no deadline. */
export type WatchOptions = Pick<CallOptions, 'metadata'> & {
  /** Its abort ends the watch: the loop over it ends without an error. */
  readonly signal?: AbortSignal | undefined
}

interface Cursor {
  afterSequence: string
}
interface Batch<Event> {
  readonly events: readonly Event[]
  readonly lastSequence: string
}

/** Three heartbeats of the service. */
const silentAfterMs = 45_000
/** A stream that moved on, or lived so long, was in order: what ends it is a new failure, not the last one again. */
const soundAfterMs = 10_000

/**
 * Events without an end; opened by the first `next`. A stream that ends with UNAVAILABLE, or falls silent, is opened again behind the last
 * sequence seen. Only one that was never in order is given up, after as many attempts as a call has.
 */
export function watching<Q extends Cursor, Event>(
  transport: Transport,
  method: Method<Q, Batch<Event>>,
  partial: unknown,
  options: WatchOptions = {},
  silenceMs = silentAfterMs,
): AsyncIterableIterator<Event> {
  const stop = new AbortController()
  const events = watch(transport, method, partial, options, stop, silenceMs)
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    next: () => events.next(),
    // A generator hears of `return` only at its next yield: the stop reaches it while it waits for the service.
    return: () => {
      stop.abort()
      return events.return(undefined)
    },
  }
}

async function* watch<Q extends Cursor, Event>(
  transport: Transport,
  method: Method<Q, Batch<Event>>,
  partial: unknown,
  options: WatchOptions,
  stop: AbortController,
  silenceMs: number,
): AsyncGenerator<Event, undefined> {
  const deafen = onAbort([transport.closing, options.signal], () => stop.abort())
  try {
    const request = method.create(partial)
    const { metadata, requestId } = transport.metadata(options)
    let everSound = false
    let failures = 0
    while (!stop.signal.aborted) {
      const openedAt = performance.now()
      const openedAfter = request.afterSequence
      // An end without an error is an intermediary's, or silence.
      let failure: unknown = ended(requestId)
      try {
        for await (const batch of batches(transport.stream(method, request, metadata), stop.signal, silenceMs)) {
          everSound = true
          // Already here: it is handed out even if the stream dies meanwhile, so the next one begins behind it.
          for (const event of batch.events) {
            if (stop.signal.aborted) return
            yield event
          }
          request.afterSequence = batch.lastSequence
        }
      } catch (error) {
        failure = error
      }
      if (stop.signal.aborted) return
      const sound = request.afterSequence !== openedAfter || performance.now() - openedAt > soundAfterMs
      everSound ||= sound
      failures = sound ? 1 : failures + 1
      const error = toError(failure, requestId)
      const delayMs = error instanceof CustomerManagementError ? retryDelayMs(error, failures) : undefined
      if (delayMs === undefined || (!everSound && failures === attemptsMax)) throw error
      await wait(delayMs, stop.signal)
    }
  } finally {
    deafen()
  }
}

const ended = (requestId: string) => new CustomerManagementError('UNAVAILABLE: the stream ended', { code: 'UNAVAILABLE', requestId })

/** The messages of one stream; ends when it is silent or stopped, and cancels the call however it ends. */
async function* batches<S>(call: ClientReadableStream<S>, stop: AbortSignal, silenceMs: number): AsyncGenerator<S> {
  // The error that a cancelled call still emits has nobody else to hear it.
  call.on('error', () => {})
  let waiting = false
  let over = false
  const cancel = () => {
    over = true
    call.cancel()
  }
  // Time that the consumer takes for itself is no silence.
  const silence = setTimeout(() => waiting && cancel(), silenceMs)
  const deafen = onAbort([stop], cancel)
  const messages = call[Symbol.asyncIterator]() as AsyncIterator<S, undefined>
  try {
    while (!over) {
      waiting = true
      silence.refresh()
      const message = await messages.next()
      waiting = false
      if (message.done) return
      yield message.value
    }
  } catch (error) {
    if (!over) throw error
  } finally {
    clearTimeout(silence)
    deafen()
    call.cancel()
  }
}
