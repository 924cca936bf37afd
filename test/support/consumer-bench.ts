import { randomUUID } from 'node:crypto'
import { Kafka, logLevel, Partitioners, type ProducerRecord } from 'kafkajs'
import { afterAll, beforeAll, beforeEach, inject, onTestFinished } from 'vitest'
import {
  type ConsumerOptions,
  type CustomerEvent,
  createConsumer,
  type Gap,
  type Poison,
} from '../../clients/typescript/src/events/index.js'
import type { EventRow } from '../../server/outbox/envelope.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { eventRecord, eventRow, tenantNumbered } from './event-records.js'
import { until } from './until.js'

const generous = { timeoutMs: 60_000 }

export const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, i) => first + i)
export const rows = (tenantId: string, first: number, last: number) => upTo(last, first).map((sequence) => eventRow(tenantId, sequence))

/** Gives each test of a `describe` topics of its own on a real broker, a producer for them, and consumers of the SDK that end with the test. */
export function consumerBench(brokers = async () => (inject('kafkaBrokers') ?? '').split(',')) {
  const kafka = new Kafka({ brokers, clientId: 'sdk-consumer', logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  beforeAll(async () => {
    await Promise.all([admin.connect(), producer.connect()])
  })
  afterAll(async () => {
    await Promise.all([admin.disconnect(), producer.disconnect()])
  })

  const place = { topicPrefix: '', topic: '', replay: '' }
  beforeEach(async () => {
    const topicPrefix = `sdk-${randomUUID().slice(0, 8)}.`
    const { byStream, replay } = topicsOf(topicPrefix)
    Object.assign(place, { topicPrefix, topic: byStream.domain, replay })
    const topics = [place.topic, replay].map((topic) => ({ topic, numPartitions: 3 }))
    await admin.createTopics({ topics, waitForLeaders: true })
  })

  const produce = (records: ProducerRecord) => producer.send(records)
  const send = async (...sent: EventRow[]) => {
    const messages = sent
      .map((row) => eventRecord(row, place.topic))
      .map(({ key, value, headers }) => ({ key, value, headers: { ...headers } }))
    return await produce({ topic: place.topic, messages })
  }
  /** Tenants whose partitions differ; the first event of each is sent. */
  const apart = async (count: number) => {
    const found = new Map<number, string>()
    for (let n = 1; found.size < count; n++) {
      const [placed] = await send(eventRow(tenantNumbered(n), 1))
      if (!found.has(placed!.partition)) found.set(placed!.partition, tenantNumbered(n))
    }
    return [...found.values()]
  }

  /** A consumer that runs; what it was given by tenant, and what it told. */
  function start(options: Partial<ConsumerOptions> = {}) {
    const handled = new Map<string, number[]>()
    const gaps: Gap[] = []
    const poisons: Poison[] = []
    const of = (tenantId: string) => handled.get(tenantId) ?? []
    const note = (event: CustomerEvent) => void handled.set(event.tenantId, [...of(event.tenantId), Number(event.sequence)])
    const groupId = options.groupId ?? `group-${randomUUID()}`
    const { topicPrefix } = place
    const consumer = createConsumer({ kafka, topicPrefix, onGap: (gap) => void gaps.push(gap), handler: note, ...options, groupId })
    const outcome = consumer.run().then(
      () => 'stopped' as const,
      (error: unknown) => error,
    )
    onTestFinished(() => consumer.stop())
    const got = (tenantId: string, count: number) => until(() => of(tenantId).length >= count && of(tenantId), generous)
    return { consumer, groupId, of, got, gaps, poisons, note, outcome, park: (poison: Poison) => void poisons.push(poison) }
  }
  return { kafka, admin, place, produce, send, apart, start }
}
