import { type ClientReadableStream, status } from '@grpc/grpc-js'
import type { EventServiceClient, WatchEventsRequest, WatchEventsResponse } from '../../gen/customer/event/v1/event_service.js'
import { type Clients, RpcError } from './client.js'

export interface Watching {
  readonly answers: readonly WatchEventsResponse[]
  /** Sequences of the events so far. */
  sequences(): number[]
  /** Resolves with what ended it; undefined: it ended with OK. */
  readonly ended: Promise<RpcError | undefined>
  /** The same, as far as it is known. */
  end(): RpcError | undefined | 'open'
  cancel(): void
}

/** A WatchEvents stream whose answers are kept as they come. */
export function watch(clients: Clients, request: Partial<WatchEventsRequest>): Watching {
  const whole = { tenantId: '', afterSequence: '', eventType: '', ...request }
  const open = clients.events.watchEvents as unknown as EventServiceClient['watchEvents']
  const stream: ClientReadableStream<WatchEventsResponse> = open(whole, clients.metadata())
  const answers: WatchEventsResponse[] = []
  let outcome: RpcError | undefined | 'open' = 'open'
  const ended = new Promise<RpcError | undefined>((resolve) => {
    stream.on('data', (answer) => answers.push(answer))
    stream.on('error', () => {})
    stream.on('status', (given) => {
      outcome = given.code === status.OK ? undefined : new RpcError(Object.assign(new Error(given.details), given))
      resolve(outcome)
    })
  })
  return {
    answers,
    sequences: () => answers.flatMap(({ events }) => events.map(({ sequence }) => Number(sequence))),
    ended,
    end: () => outcome,
    cancel: () => stream.cancel(),
  }
}
