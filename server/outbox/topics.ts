import type { EventStream } from '../contract/event-catalogue.js'
import type { KafkaAdmin } from './kafka.js'

/** The topics of one deployment, with its prefix. */
export interface Topics {
  readonly byStream: Readonly<Record<EventStream, string>>
  readonly replay: string
  /** Every topic that must be there. */
  readonly all: readonly string[]
}

/** A stream's topic without a prefix, as the catalogue names it. */
export const topicOfStream = (stream: EventStream) => `customer-management.${stream}.v1`

/** @param prefix KAFKA_TOPIC_PREFIX, put in front as it is */
export function topicsOf(prefix: string): Topics {
  const streams: readonly EventStream[] = ['domain', 'security', 'platform']
  const byStream = Object.fromEntries(streams.map((stream) => [stream, prefix + topicOfStream(stream)])) as Record<EventStream, string>
  const replay = `${prefix}customer-management.replay.v1`
  const deadLetters = streams.map((stream) => `${prefix}customer-management.${stream}.dead-letters.v1`)
  return { byStream, replay, all: [...Object.values(byStream), replay, ...deadLetters] }
}

/** Somebody must make them first. */
export class TopicsMissing extends Error {
  override readonly name = 'TopicsMissing'
}

/**
 * Makes the topics that are missing (`create`: development), or throws TopicsMissing, which names them.
 * @returns the topics that were made
 */
export async function ensureTopics(
  admin: KafkaAdmin,
  { all }: Topics,
  { create, partitions }: { create: boolean; partitions: number },
): Promise<string[]> {
  // Looked up first: making one that exists is answered with an error, which the client logs by itself.
  const there = new Set(await admin.listTopics())
  const missing = all.filter((topic) => !there.has(topic))
  if (missing.length === 0) return []
  if (!create) {
    throw new TopicsMissing(`Kafka lacks ${missing.length} topics: ${missing.join(', ')}; create them, each with ${partitions} partitions`)
  }
  await admin.createTopics(missing, partitions)
  return missing
}
