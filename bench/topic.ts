import { Kafka, logLevel, type Producer } from 'kafkajs'
import { startKafka } from '../test/support/kafka.js'
import { until } from '../test/support/until.js'
import { percentile } from './median.js'
import type { Stage } from './stage.js'

/** A broker, a consumer that takes the time, and kafkajs's producer alone. */
export interface Topics {
  readonly brokers: string
  readonly producer: Producer
  /** What came between two calls: how many, and how long after the time in their `ce_time`. */
  arrived(count: number): Promise<{ p50Ms: number; p99Ms: number }>
  forget(): void
  quiet(): Promise<void>
}

/** This machine's clock with more than its milliseconds; PostgreSQL reads the same one. */
const nowMs = () => performance.timeOrigin + performance.now()
const exact = new Intl.NumberFormat('en', { minimumIntegerDigits: 6, useGrouping: false })

export const timeHeader = () => {
  const micros = Math.round(nowMs() * 1000)
  return `${new Date(micros / 1000).toISOString().slice(0, 19)}.${exact.format(micros % 1_000_000)}Z`
}

const parsed = (time: string) => Date.parse(`${time.slice(0, 19)}Z`) + Number(time.slice(20, 26)) / 1000

export async function openTopics(stage: Stage, names: readonly string[]): Promise<Topics> {
  const given = process.env['KAFKA_BROKERS']
  let brokers = given ?? ''
  if (given === undefined) {
    const broker = await startKafka()
    stage.onStop(() => broker.stop())
    brokers = broker.brokers
  }
  const kafka = new Kafka({ brokers: brokers.split(','), clientId: 'bench', logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: names.map((topic) => ({ topic, numPartitions: 12 })), waitForLeaders: true })
  await admin.disconnect()
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const consumer = kafka.consumer({ groupId: `bench-${process.pid}`, maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: [...names], fromBeginning: true })
  let seen: number[] = []
  await consumer.run({
    eachMessage: async ({ message }) => {
      seen.push(nowMs() - parsed(String(message.headers?.['ce_time'])))
    },
  })
  stage.onStop(() => producer.disconnect())
  let closed = false
  const quiet = async () => {
    if (!closed) await consumer.disconnect()
    closed = true
  }
  stage.onStop(quiet)
  return {
    brokers,
    producer,
    async arrived(count) {
      await until(() => seen.length >= count, { timeoutMs: 30_000 })
      seen.sort((a, b) => a - b)
      return { p50Ms: percentile(seen, 50), p99Ms: percentile(seen, 99) }
    },
    forget() {
      seen = []
    },
    quiet,
  }
}
