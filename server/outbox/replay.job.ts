import { flight } from '../db/flight.js'
import type { Pool } from '../db/pool.js'
import type { Statement } from '../db/statement.js'
import type { Job, Lease } from '../jobs/job.js'
import type { Log } from '../telemetry/log.js'
import { counter } from '../telemetry/metrics.js'
import { createDelivery, placeOf } from './delivery.js'
import { parkReasonOf } from './envelope.js'
import type { KafkaSender } from './kafka.js'
import {
  type AgainRow,
  advanceReplay,
  type ReplayProgress,
  type ReplayRow,
  readRedrives,
  readReplay,
  settleRedrives,
} from './replay.repo.js'
import type { Topics } from './topics.js'

export interface ReplayOptions {
  /** The relay's login, and the role it takes on. */
  readonly pool: Pool
  readonly role?: string
  /** Of its own: the relay does not wait for a replay, nor suffer from its failures. */
  readonly sender: KafkaSender
  readonly topics: Topics
  readonly log: Log
  readonly sendTimeoutMs?: number
  /** Events of a batch, at most: few, since calls of this process wait meanwhile. */
  readonly batchMax?: number
  /** Runs before the first send, again until it succeeds. */
  readonly prepare?: () => Promise<unknown>
}

const batchBytesMax = 1_000_000

/**
 * Sends what ReplayEvents and RedriveDeadLetters asked for, on the topic of replays, as the relay sends: only while the lease outlives a send's
 * deadline, and nothing behind what did not arrive. Replays take turns, a batch each. How far they are is kept behind each batch, so that whoever
 * holds the lease next repeats one batch at most.
 */
export function createReplay(options: ReplayOptions): Job {
  const { pool, role = 'platform_relay', topics, log, sendTimeoutMs = 1_000, batchMax = 200 } = options
  const byStream = { domain: topics.replay, security: topics.replay, platform: topics.replay }
  const delivery = createDelivery({ ...options, topics: { ...topics, byStream }, sendTimeoutMs })
  const ask = async (statement: Statement) => (await flight(pool, role, [statement]))[0]!

  /** Resolves to whether there was anything to do. */
  const redrive = async (lease: Lease, signal: AbortSignal): Promise<boolean> => {
    const rows = ((await ask(readRedrives(batchMax, batchBytesMax))).rows as AgainRow[]).filter((row) => !row.over)
    if (rows.length === 0) return false
    const able = rows.filter((row) => parkReasonOf(row) === undefined)
    const { sent, parked } = await delivery.deliver(able, lease, signal)
    const reached = new Map(sent.map((it) => [placeOf(it.tenantId, it.stream), it.sequence]))
    const refused = new Set(parked.map(({ row }) => row))
    const tried = able.filter((row) => BigInt(row.sequence) <= (reached.get(placeOf(row.tenant_id, row.stream)) ?? 0n))
    const letters = [
      ...tried.map((row) => ({ row, sent: !refused.has(row) })),
      ...rows.filter((row) => !able.includes(row)).map((row) => ({ row, sent: false })),
    ]
    if (letters.length === 0) return true
    const { count } = (await ask(settleRedrives(lease, letters))).rows[0] as { count: number }
    if (count === 0) throw new Error('the replay job lost its lease')
    counter('outbox.redriven').add(letters.filter((letter) => letter.sent).length)
    for (const { row, sent: gone } of letters) {
      const fields = { tenant: row.tenant_id, stream: row.stream, sequence: row.sequence, replay: row.replay_id }
      if (gone) log.info(fields, 'dead letter redriven')
      else log.warn(fields, 'dead letter still cannot be sent')
    }
    return true
  }

  const replay = async (lease: Lease, signal: AbortSignal): Promise<boolean> => {
    const rows = (await ask(readReplay(batchMax, batchBytesMax))).rows as ReplayRow[]
    const [first] = rows
    if (!first) return false
    const { replay_id: id, of_tenant_id: tenant } = first
    const position = BigInt(first.position)
    const advance = async (progress: ReplayProgress) => {
      if ((await ask(advanceReplay(lease, progress))).rowCount === 0) throw new Error('the replay job lost its lease')
      if (progress.state !== 'RUNNING')
        log.info({ replay: id, tenant, state: progress.state, position: String(progress.position) }, 'replay ended')
    }
    if (first.sequence === null || BigInt(first.sequence) !== position + 1n) {
      await advance({ id, position, state: 'FAILED' })
      return true
    }
    const batch = rows.filter((row): row is ReplayRow & AgainRow => row.sequence !== null && !row.over)
    const { sent, count } = await delivery.deliver(batch, lease, signal)
    const reached = sent[0]?.sequence
    if (reached === undefined) return true
    await advance({ id, position: reached, state: reached >= BigInt(first.until_sequence) ? 'DONE' : 'RUNNING' })
    counter('outbox.replayed').add(count)
    return true
  }

  return {
    name: 'replay',
    everyMs: 1_000,
    lease: 'one',
    async run({ lease, signal }) {
      for (let more = true; more; ) {
        const able = () => !signal.aborted && lease.msLeft() > sendTimeoutMs && delivery.awake().length === 3
        more = able() && (await redrive(lease, signal))
        more = (able() && (await replay(lease, signal))) || more
      }
    },
  }
}
