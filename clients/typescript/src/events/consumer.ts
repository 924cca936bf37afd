import type { EachBatchPayload, Kafka } from 'kafkajs'
import type { Stream } from './event.js'
import { ConsumerError, createIntake, type Handlers } from './intake.js'

export interface ConsumerOptions extends Handlers {
  /** kafkajs's, with brokers, TLS, login and log of your own. */
  readonly kafka: Pick<Kafka, 'consumer'>
  /** Kafka keeps the group's offsets by this name; those who share it share the partitions. */
  readonly groupId: string
  /** Which topics to read: `domain` by default. */
  readonly streams?: readonly Stream[] | undefined
  /** What the service's deployment puts in front of its topics' names (KAFKA_TOPIC_PREFIX). */
  readonly topicPrefix?: string | undefined
}

export interface EventConsumer {
  /**
   * Consumes from the beginning of the topics, or from where the group is, until it is stopped: resolves then. Waits for a Kafka that goes away
   * meanwhile. To be called once.
   * @throws ConsumerError for what cannot be handled; kafkajs's own errors for a Kafka that is away at the start, a missing topic, a wrong login
   */
  run(): Promise<void>
  /** Lets the running handlers finish, commits, leaves the group; for SIGTERM. Not to be awaited in a handler. */
  stop(): Promise<void>
}

/** A consumer whose process died is missed for so long. A handler may take longer: heartbeats go on beside it. */
const sessionTimeoutMs = 10_000
const heartbeatMs = 1_000
/** An idle poll lasts so long, and so does the wait for it when the consumer stops. */
const pollMs = 250
/** Offsets are committed behind a batch, and in a batch that lasts as often: so much comes again after a crash. */
const commitMs = 1_000
/** Other partitions of the broker wait for a batch to end. */
const batchMs = 1_000
const concurrentPartitions = 16

/** A consumer of customer-management's events. Throws a TypeError for options that cannot work. */
export function createConsumer(options: ConsumerOptions): EventConsumer {
  const { kafka, groupId, streams = ['domain'], topicPrefix = '' } = options
  if (!groupId) throw new TypeError('groupId must name the group')
  if (streams.length === 0 && !options.replayed) throw new TypeError('streams is empty: there is nothing to read')
  if (options.attemptsMax !== undefined && !(options.attemptsMax >= 1)) throw new TypeError('attemptsMax must be at least 1')
  const topicOf = (name: string) => `${topicPrefix}customer-management.${name}.v1`
  const streamsByTopic = new Map(streams.map((stream) => [topicOf(stream), stream]))
  const intake = createIntake(options, (topic) => streamsByTopic.get(topic))
  const topics = [...streamsByTopic.keys(), ...(options.replayed ? [topicOf('replay')] : [])]

  const waiting = new Set<NodeJS.Timeout>()
  let generation = 0
  let stopping = false
  let ended: Promise<void> | undefined
  let over: (result: Promise<void>) => void = () => {}
  const whenOver = new Promise<void>((resolve) => {
    over = resolve
  })

  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: heartbeatMs,
    maxWaitTimeInMs: pollMs,
    allowAutoTopicCreation: false,
    retry: { restartOnFailure: async () => !stopping },
  })
  consumer.on(consumer.events.GROUP_JOIN, () => {
    generation += 1
    intake.forget()
  })
  consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
    if (!restart && !stopping) void end(error)
  })

  const end = (failure?: Error): Promise<void> => {
    stopping = true
    for (const timer of waiting) clearTimeout(timer)
    ended ??= consumer
      .disconnect()
      .catch(() => {}) // what it could not commit comes again
      .then(() => over(failure ? Promise.reject(failure) : Promise.resolve()))
    return ended
  }

  const eachBatch = async ({ batch, heartbeat, resolveOffset, commitOffsetsIfNecessary, pause, isRunning }: EachBatchPayload) => {
    const { topic, partition } = batch
    const joined = generation
    const begunMs = performance.now()
    let failure: unknown
    const beats = setInterval(() => {
      heartbeat().catch((error: unknown) => {
        failure ??= error
      })
    }, heartbeatMs)
    try {
      for (const { key, value, headers = {}, offset } of batch.messages) {
        if (stopping || !isRunning()) return
        const delayMs = await intake.take({ topic, partition, offset, key, value, headers })
        // The partition may be another's by now, and what was handled comes again there.
        if (joined !== generation) return
        if (delayMs > 0) return later(pause(), delayMs)
        resolveOffset(offset)
        // Also that the group is rebalancing: kafkajs joins it then.
        if (failure) throw failure
        await commitOffsetsIfNecessary()
        if (performance.now() - begunMs > batchMs) return
      }
    } catch (error) {
      if (!(error instanceof ConsumerError)) throw error
      void end(error)
    } finally {
      clearInterval(beats)
    }
  }

  /** The partition rests, and begins again with the same record; the others go on. */
  const later = (resume: () => void, delayMs: number) => {
    const timer = setTimeout(() => {
      waiting.delete(timer)
      resume()
    }, delayMs)
    waiting.add(timer)
  }

  return {
    async run() {
      const steps = [
        () => consumer.connect(),
        () => consumer.subscribe({ topics, fromBeginning: true }),
        () =>
          consumer.run({
            autoCommitInterval: commitMs,
            eachBatchAutoResolve: false,
            partitionsConsumedConcurrently: concurrentPartitions,
            eachBatch,
          }),
      ]
      try {
        for (const step of steps) if (!stopping) await step()
      } catch (error) {
        await end(error as Error)
      }
      return await whenOver
    },
    stop: () => end(),
  }
}
