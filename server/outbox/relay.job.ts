import { flight } from '../db/flight.js'
import type { Pool } from '../db/pool.js'
import type { Job, JobContext, Lease } from '../jobs/job.js'
import type { Log } from '../telemetry/log.js'
import { counter } from '../telemetry/metrics.js'
import { createDelivery, type Delivered, endsOf, placeOf } from './delivery.js'
import type { KafkaSender } from './kafka.js'
import { advance, findPending, type PendingRow, park, readPending, type Sent } from './relay.repo.js'
import type { Topics } from './topics.js'

export interface RelayOptions {
  /** The relay's login, and the role it takes on. */
  readonly pool: Pool
  readonly role?: string
  /** Prepare statements by name: off behind a pooler in transaction mode. */
  readonly named?: boolean
  readonly sender: KafkaSender
  readonly topics: Topics
  readonly log: Log
  /** From one full poll to the next. */
  readonly pollMs?: number
  readonly sendTimeoutMs?: number
  /** Events of a batch, at most. */
  readonly batchMax?: number
  /** Runs before the first send, again until it succeeds. */
  readonly prepare?: () => Promise<unknown>
  readonly random?: () => number
}

export interface Relay extends Job {
  /** These tenants have committed events: the next run reads them first, and them alone. Kick the runner as well. */
  kick(tenantIds: readonly string[]): void
}

/** Tenants of a batch: each gets its share of it. */
const tenantsMax = 50
/** Kafka takes 1,048,588 bytes of records a partition and request, unless told otherwise. */
const batchBytesMax = 1_000_000

/**
 * Moves events from platform.events to Kafka, in order for each tenant and stream, at least once. It reads positions anew in each run, sends only
 * while the lease outlives the send's deadline, and nothing of a stream behind what did not arrive; so a relay that was stopped and resumed can
 * repeat, and never reorders first occurrences.
 */
export function createRelay(options: RelayOptions): Relay {
  const { pool, role = 'platform_relay', log, named = false, pollMs = 100, sendTimeoutMs = 1_000, batchMax = 500 } = options
  const delivery = createDelivery({ ...options, sendTimeoutMs })
  /** Tenants to read, in turn: who has more than its share stands at the end again. */
  const queue = new Set<string>()
  let last: Lease | undefined
  let pollAtMs = 0

  const take = () => {
    const names = [...queue].slice(0, tenantsMax)
    for (const name of names) queue.delete(name)
    return names
  }

  /** One flight: positions on, who has events, the next batch, behind `ahead`. Without anything to ask, none. */
  const exchange = async (lease: Lease, { sent, parked }: Delivered, poll: boolean, names: readonly string[], ahead: readonly Sent[]) => {
    const streams = delivery.awake()
    const statements = [
      ...(sent.length > 0 ? [advance(lease, sent)] : []),
      ...(parked.length > 0 ? [park(lease, parked)] : []),
      ...(poll ? [findPending(streams)] : []),
      ...(names.length > 0 ? [readPending(streams, names, Math.floor(batchMax / names.length) || 1, batchBytesMax, ahead)] : []),
    ]
    const results = statements.length > 0 ? await flight(pool, role, statements, { named }) : []
    if (sent.length > 0 && results.shift()!.rowCount === 0) throw new Error('the relay lost its lease')
    if (parked.length > 0) results.shift()
    const pending = poll ? (results.shift()!.rows as { tenant_id: string }[]).map((row) => row.tenant_id) : []
    return { pending, rows: names.length > 0 ? (results.shift()!.rows as PendingRow[]) : [] }
  }

  const run = async ({ signal, lease }: JobContext) => {
    if (lease !== last) {
      // What was kicked under an earlier lease, another replica has sent.
      last = lease
      queue.clear()
      pollAtMs = 0
    }
    let done: Delivered = nothing
    let batch: readonly PendingRow[] = []
    for (;;) {
      const resting = signal.aborted || lease.msLeft() <= sendTimeoutMs || delivery.awake().length === 0
      const poll = !resting && performance.now() >= pollAtMs
      const names = resting ? [] : take()
      if (!poll && names.length === 0 && batch.length === 0 && done.sent.length === 0) return
      if (poll) pollAtMs = performance.now() + pollMs
      // The next batch is read while this one is sent, as if that succeeded.
      const ahead = endsOf(batch)
      const asked = exchange(lease, done, poll, names, ahead)
      const [delivered, read] = await Promise.all([
        delivery.deliver(batch, lease, signal),
        asked.catch((failure: unknown) => ({ failure })),
      ])
      tell(delivered)
      if ('failure' in read) throw read.failure
      done = delivered
      batch = behind(read.rows, ahead, delivered.sent).filter((row) => !row.over && delivery.awake().includes(row.stream))
      for (const name of leftOver(read.rows)) queue.add(name)
      for (const name of read.pending) if (!names.includes(name)) queue.add(name)
    }
  }

  const tell = ({ parked, count }: Delivered) => {
    for (const { row, reason } of parked) {
      counter('outbox.parked').add()
      log.error(
        { tenant: row.tenant_id, stream: row.stream, sequence: row.sequence, event: row.id, type: row.type.slice(0, 100), reason },
        'event parked',
      )
    }
    counter('outbox.sent').add(count)
  }

  return {
    name: 'relay',
    everyMs: pollMs,
    lease: 'one',
    run,
    kick(tenantIds) {
      // a relay that stands by would keep them for ever
      if ((last?.msLeft() ?? -1) > 0) for (const name of tenantIds) queue.add(name)
    },
  }
}

const nothing: Delivered = { sent: [], parked: [], count: 0 }

/** What is read behind a batch that did not arrive in full would overtake the rest of it. */
function behind(rows: readonly PendingRow[], ahead: readonly Sent[], sent: readonly Sent[]): PendingRow[] {
  const reached = new Map(sent.map((it) => [placeOf(it.tenantId, it.stream), it.sequence]))
  const places = ahead.map((it) => [placeOf(it.tenantId, it.stream), it.sequence] as const)
  const short = new Set(places.filter(([place, sequence]) => reached.get(place) !== sequence).map(([place]) => place))
  return rows.filter((row) => !short.has(placeOf(row.tenant_id, row.stream)))
}

/** Who has more events: first those whose turn the batch's bytes cut off, then those with more than their share. */
function leftOver(rows: readonly PendingRow[]): string[] {
  const reached = new Map(endsOf(rows.filter((row) => !row.over)).map((it) => [placeOf(it.tenantId, it.stream), it.sequence]))
  const cut = rows.filter((row) => row.over && !reached.has(placeOf(row.tenant_id, row.stream))).map((row) => row.tenant_id)
  const more = rows
    .filter((row) => (reached.get(placeOf(row.tenant_id, row.stream)) ?? BigInt(row.last)) < BigInt(row.last))
    .map((row) => row.tenant_id)
  return [...new Set([...cut, ...more])]
}
