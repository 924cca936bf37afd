import { type Consumer, Kafka, logLevel } from 'kafkajs'

/** A record as whoever has nothing but Kafka sees it. */
export interface ReadRecord {
  readonly topic: string
  readonly key: string
  readonly headers: Readonly<Record<string, string>>
  readonly value: string
}

/** What a topic held so far, by key and topic. */
export interface Tally {
  /** Different sequences. */
  readonly distinct: number
  /** Records of a sequence that had come before. */
  readonly repeats: number
  /** First occurrences that are not the successor of the one before them. */
  readonly reordered: number
}

export interface TopicReader {
  /** All of them where the reader keeps them, in the order of each partition. */
  readonly records: readonly ReadRecord[]
  tally(): Tally
  /** Whether this sequence of the key has come, in any topic. */
  has(key: string, sequence: number): boolean
  stop(): Promise<void>
}

export interface TopicReaderOptions {
  readonly brokers: string
  readonly topics: readonly string[]
  /** False: only counts, for the runs with many. */
  readonly keep?: boolean
}

/** A plain kafkajs consumer of these topics, from their beginning. What a rebalance hands it twice counts once. */
export async function readTopics({ brokers, topics, keep = true }: TopicReaderOptions): Promise<TopicReader> {
  const client = new Kafka({ brokers: brokers.split(','), clientId: 'reader', logLevel: logLevel.NOTHING, connectionTimeout: 2_000 })
  const consumer: Consumer = client.consumer({
    groupId: `reader-${topics[0]}-${Math.random()}`,
    sessionTimeout: 6_000,
    maxWaitTimeInMs: 50,
    retry: { retries: 1_000, initialRetryTime: 50, maxRetryTime: 300 },
  })
  const records: ReadRecord[] = []
  const offsets = new Map<string, bigint>()
  const seen = new Map<string, Set<number>>()
  const lasts = new Map<string, number>()
  let [distinct, repeats, reordered] = [0, 0, 0]
  const count = (topic: string, key: string, sequence: number) => {
    const place = `${topic} ${key}`
    const sequences = seen.get(key) ?? new Set()
    seen.set(key, sequences)
    const last = lasts.get(place) ?? 0
    if (sequence <= last && sequences.has(sequence)) {
      repeats += 1
      return
    }
    if (sequence !== last + 1) reordered += 1
    distinct += 1
    sequences.add(sequence)
    lasts.set(place, Math.max(last, sequence))
  }
  await consumer.connect()
  await consumer.subscribe({ topics: [...topics], fromBeginning: true })
  await consumer.run({
    eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
      const place = `${batch.topic}/${batch.partition}`
      for (const message of batch.messages) {
        const offset = BigInt(message.offset)
        if (offset <= (offsets.get(place) ?? -1n)) continue
        offsets.set(place, offset)
        const key = String(message.key)
        const headers = message.headers ?? {}
        count(batch.topic, key, Number(headers['ce_sequence']))
        const texts = () => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
        if (keep) records.push({ topic: batch.topic, key, headers: texts(), value: String(message.value) })
        resolveOffset(message.offset)
      }
      await heartbeat()
    },
  })
  return {
    records,
    tally: () => ({ distinct, repeats, reordered }),
    has: (key, sequence) => seen.get(key)?.has(sequence) ?? false,
    stop: () => consumer.disconnect(),
  }
}
