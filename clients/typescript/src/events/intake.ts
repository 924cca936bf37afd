import { type Decoded, decode, type KafkaRecord, type Place } from './decode.js'
import type { CustomerEvent, Stream } from './event.js'

/** Where an event stands: keep `sequence` by tenant and stream, with the event's effects and in one transaction with them. */
export interface Position {
  readonly tenantId: string
  readonly stream: Stream
  /** 20 digits. */
  readonly sequence: string
  readonly topic: string
  readonly partition: number
  readonly offset: string
}

/** Events of a tenant that will not come: Kafka no longer had them. */
export interface Gap {
  readonly tenantId: string
  readonly stream: Stream
  /** The missing ones are those between, without these two; 20 digits each. */
  readonly afterSequence: string
  readonly beforeSequence: string
}

/** A record that cannot be handled. */
export interface Poison {
  /** `record`: its envelope or JSON is wrong; `handler`: the handler, `lastSequence` or `onGap` threw `attemptsMax` times. */
  readonly reason: 'record' | 'handler'
  /** What is wrong with the record, or what was thrown last. */
  readonly error: unknown
  readonly event: CustomerEvent | undefined
  /** To be kept as after an event; undefined in the topic of replays, and where the envelope does not tell it. */
  readonly position: Position | undefined
  readonly record: KafkaRecord
}

export interface Handlers {
  /**
   * Has the event, one at a time of each partition and so of each tenant, in order. What it throws is tried again, `attemptsMax` times in all. It
   * may get an event again after a crash or a rebalance.
   */
  readonly handler: (event: CustomerEvent, position: Position) => Promise<void> | void
  /** Told once before the event behind the gap is handled. */
  readonly onGap: (gap: Gap) => Promise<void> | void
  /** Parks what cannot be handled; then it counts as handled. Unset, or where it throws: the consumer stops, and has lost nothing. */
  readonly onPoison?: ((poison: Poison) => Promise<void> | void) | undefined
  /**
   * The `sequence` that was kept last of this tenant and stream; undefined: none. Asked when a tenant is first seen, and again after each
   * rebalance. Unset: what comes first counts as the next.
   */
  readonly lastSequence?: ((of: { tenantId: string; stream: Stream }) => Promise<string | undefined>) | undefined
  /** Has the events of the topic of replays, which is read only if this is set: none is dropped, and they move no position. */
  readonly replayed?: ((event: CustomerEvent) => Promise<void> | void) | undefined
  /** How often an event is tried: 12 by default, over a minute or more; Infinity waits for as long as it takes. */
  readonly attemptsMax?: number | undefined
}

/** Nothing more can be done about a record: the consumer stops before it. */
export class ConsumerError extends Error {
  override readonly name = 'ConsumerError'
}

const delayMaxMs = 30_000

/** What stands between Kafka and the handlers. Records of one partition come one at a time. */
export function createIntake(handlers: Handlers, streamOf: (topic: string) => Stream | undefined, random = Math.random) {
  const { handler, onGap, onPoison, lastSequence, replayed, attemptsMax = 12 } = handlers
  const seen = new Map<string, bigint>()
  const failures = new Map<string, { readonly offset: string; readonly count: number }>()

  const lastOf = async (key: string, tenantId: string, stream: Stream): Promise<bigint | undefined> => {
    const known = seen.get(key)
    if (known !== undefined || !lastSequence) return known
    const last = BigInt((await lastSequence({ tenantId, stream })) ?? 0)
    seen.set(key, last)
    return last
  }

  const inOrder = async ({ tenantId, sequence }: Place, position: Position, work: () => Promise<void> | void) => {
    const { stream } = position
    const key = `${stream} ${tenantId}`
    const number = BigInt(sequence)
    const last = await lastOf(key, tenantId, stream)
    if (last !== undefined && number <= last) return
    if (last !== undefined && number > last + 1n) {
      await onGap({ tenantId, stream, afterSequence: String(last).padStart(20, '0'), beforeSequence: sequence })
      // The event may be tried again; the gap has been told.
      seen.set(key, number - 1n)
    }
    await work()
    seen.set(key, number)
  }

  const park = async (poison: Poison) => {
    const { record, error } = poison
    const refusal = (cause: unknown) =>
      new ConsumerError(`${record.topic}/${record.partition} offset ${record.offset} cannot be handled: ${messageOf(cause)}`, { cause })
    if (!onPoison) throw refusal(error)
    try {
      await onPoison(poison)
    } catch (cause) {
      throw refusal(cause)
    }
  }

  const give = (record: KafkaRecord, { event, problem, place }: Decoded, position: Position | undefined) => {
    const work = event
      ? () => (position ? handler(event, position) : replayed?.(event))
      : () => park({ reason: 'record', error: new Error(problem), event, position, record })
    return place && position ? inOrder(place, position, work) : work()
  }

  return {
    /** The group was joined anew: others may have handled what we did not see. */
    forget() {
      seen.clear()
      failures.clear()
    },
    /**
     * Deals with a record. Resolves to 0 when it is behind us, else to the milliseconds after which it is to come again.
     * @throws ConsumerError
     */
    async take(record: KafkaRecord): Promise<number> {
      const decoded = decode(record)
      const { topic, partition, offset } = record
      const stream = streamOf(topic)
      const position = decoded.place && stream && { ...decoded.place, stream, topic, partition, offset }
      const slot = `${topic}/${partition}`
      try {
        await give(record, decoded, position)
      } catch (error) {
        if (error instanceof ConsumerError) throw error
        const before = failures.get(slot)
        const count = before?.offset === offset ? before.count + 1 : 1
        failures.set(slot, { offset, count })
        if (count < attemptsMax) return Math.min(delayMaxMs, 50 * 2 ** count) * (0.5 + 0.5 * random())
        await park({ reason: 'handler', error, event: decoded.event, position, record })
        if (position) seen.set(`${position.stream} ${position.tenantId}`, BigInt(position.sequence))
      }
      failures.delete(slot)
      return 0
    },
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
