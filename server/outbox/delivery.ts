import type { EventStream } from '../contract/event-catalogue.js'
import type { Lease } from '../jobs/job.js'
import type { Log } from '../telemetry/log.js'
import { counter } from '../telemetry/metrics.js'
import { type EventRecord, type EventRow, parkedRow, parkReasonOf, recordOf } from './envelope.js'
import { type KafkaSender, RecordRefused } from './kafka.js'
import type { Parked, Sent } from './relay.repo.js'
import type { Topics } from './topics.js'

export interface DeliveryOptions {
  readonly sender: KafkaSender
  readonly topics: Topics
  readonly log: Log
  readonly sendTimeoutMs: number
  /** Runs before the first send, again until it succeeds: makes or looks up the topics, where Kafka was away at the start. */
  readonly prepare?: (() => Promise<unknown>) | undefined
  readonly random?: () => number
}

export interface Delivered {
  readonly sent: readonly Sent[]
  readonly parked: readonly Parked[]
  readonly count: number
}

export interface Delivery {
  /** The streams whose topic took the last send, or has rested long enough since it did not. */
  awake(): EventStream[]
  /** Sends the rows, a topic at a time; one that fails rests and holds up no other. Never throws. */
  deliver(rows: readonly EventRow[], lease: Lease, signal: AbortSignal): Promise<Delivered>
}

interface Entry {
  readonly row: EventRow
  readonly record: EventRecord
  readonly parked: Parked | undefined
}

const restMaxMs = 1_000
const all: readonly EventStream[] = ['domain', 'security', 'platform']

/** Thrown instead of sending when the lease might end before the send does. */
class LeaseTooShort extends Error {
  override readonly name = 'LeaseTooShort'
}

export function createDelivery({ sender, topics, log, sendTimeoutMs, prepare, random = Math.random }: DeliveryOptions): Delivery {
  const rests = new Map<EventStream, { untilMs: number; failures: number }>()

  let prepared = prepare === undefined

  const send = async (records: readonly EventRecord[], lease: Lease, signal: AbortSignal) => {
    if (!prepared) await prepare?.()
    prepared = true
    await sender.ready()
    // Right before the send, and by a clock that runs on while a process is stopped: whoever lost the lease meanwhile stays silent.
    if (signal.aborted || lease.msLeft() <= sendTimeoutMs) throw new LeaseTooShort()
    await sender.send(records, sendTimeoutMs)
  }

  /** How many of the entries, from the first, the broker has; the failure that ended it. */
  const sendAll = async (entries: Entry[], lease: Lease, signal: AbortSignal): Promise<{ done: Entry[]; failure?: unknown }> => {
    try {
      await send(
        entries.map((entry) => entry.record),
        lease,
        signal,
      )
      return { done: entries }
    } catch (failure) {
      if (!(failure instanceof RecordRefused)) return { done: [], failure }
      // One of them is too much for the broker, and it does not say which.
      return entries.length === 1 ? refused(entries[0]!, failure, lease, signal) : oneByOne(entries, lease, signal)
    }
  }

  const oneByOne = async (entries: readonly Entry[], lease: Lease, signal: AbortSignal) => {
    const done: Entry[] = []
    for (const entry of entries) {
      const result = await sendAll([entry], lease, signal)
      done.push(...result.done)
      if (result.failure !== undefined) return { done, failure: result.failure }
    }
    return { done }
  }

  const refused = async (entry: Entry, failure: unknown, lease: Lease, signal: AbortSignal) => {
    if (entry.parked) return { done: [], failure }
    log.error({ err: failure, event: entry.row.id }, 'the broker refused an event')
    const instead = parkedEntry(entry.row, entry.record.topic, {
      reason: 'refused',
      detail: String((failure as Error).message).slice(0, 500),
    })
    try {
      await send([instead.record], lease, signal)
      return { done: [instead] }
    } catch (err) {
      return { done: [], failure: err }
    }
  }

  const settle = (stream: EventStream, failure: unknown) => {
    if (failure === undefined) {
      if (rests.delete(stream)) log.info({ stream }, 'events leave again')
      return
    }
    if (failure instanceof LeaseTooShort) return
    const failures = (rests.get(stream)?.failures ?? 0) + 1
    rests.set(stream, { failures, untilMs: performance.now() + Math.min(restMaxMs, 50 * 2 ** failures) * (0.5 + 0.5 * random()) })
    counter('outbox.send.failed').add()
    if (Number.isInteger(Math.log2(failures))) log.warn({ stream, failures, err: failure }, 'events could not be sent; they wait')
  }

  return {
    awake: () => all.filter((stream) => (rests.get(stream)?.untilMs ?? 0) <= performance.now()),
    async deliver(rows, lease, signal) {
      const delivered: Entry[] = []
      for (const stream of all) {
        const entries = rows.filter((row) => row.stream === stream).map((row) => entryOf(row, topics.byStream[stream]))
        if (entries.length === 0) continue
        const { done, failure } = await sendAll(entries, lease, signal)
        delivered.push(...done)
        settle(stream, failure)
      }
      return {
        sent: endsOf(delivered.map((entry) => entry.row)),
        parked: delivered.flatMap((entry) => entry.parked ?? []),
        count: delivered.length,
      }
    },
  }
}

/** The row's record, or that of `event.parked` where it can never be sent. */
function entryOf(row: EventRow, topic: string): Entry {
  const reason = parkReasonOf(row)
  if (reason) return parkedEntry(row, topic, { reason, detail: '' })
  return { row, record: recordOf(row, topic, new Date()), parked: undefined }
}

function parkedEntry(row: EventRow, topic: string, why: Omit<Parked, 'row'>): Entry {
  return { row, record: recordOf(parkedRow(row, why.reason), topic, new Date()), parked: { row, ...why } }
}

export const placeOf = (tenantId: string, stream: string) => `${tenantId}/${stream}`

/** The last of these rows of each tenant and stream; they come by sequence. */
export function endsOf(rows: readonly EventRow[]): Sent[] {
  const ends = new Map<string, EventRow>()
  for (const row of rows) ends.set(placeOf(row.tenant_id, row.stream), row)
  return [...ends.values()].map((row) => ({ tenantId: row.tenant_id, stream: row.stream, sequence: BigInt(row.sequence) }))
}
