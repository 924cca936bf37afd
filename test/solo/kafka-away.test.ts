import { randomUUID } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createApp } from '../../server/app.js'
import { createSender, RecordRefused } from '../../server/outbox/kafka.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { createLog } from '../../server/telemetry/log.js'
import { faultRun } from '../support/fault-run.js'
import { type KafkaBroker, startKafka } from '../support/kafka.js'
import { lostOf, mutate, startLoad, updatedPayload } from '../support/load.js'
import { newSlug } from '../support/rpc.js'
import { type Solo, type SoloOptions, startSolo } from '../support/solo.js'
import { readTopics, type TopicReader } from '../support/topic-reader.js'
import { type Bench, openBench } from '../support/transactions.js'
import { until } from '../support/until.js'

// A broker of this file's own, which stops, dies and comes back; the service must not mind, and nothing may be lost.

const full = process.env['N'] === 'full'
const generous = { timeoutMs: 60_000 }
const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const parked = 'com.enterprise.customer.event.parked.v1'

describe.skipIf(!inject('kafkaBrokers'))('Kafka away', () => {
  let broker: KafkaBroker
  beforeAll(async () => {
    broker = await startKafka()
  })
  afterAll(() => broker?.stop())

  interface Place {
    readonly solo: Solo
    readonly bench: Bench
    readonly topic: string
    /** Nobody writes to it. */
    readonly replay: string
    /** Of the three topics of events, unless told otherwise. */
    read(keep?: boolean, topics?: readonly string[]): Promise<TopicReader>
    admin<T>(work: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T>
  }

  async function withService(name: string, work: (place: Place) => Promise<void>, options: SoloOptions = {}) {
    const prefix = `${name}-${randomUUID().slice(0, 8)}.`
    const env = { KAFKA_BROKERS: broker.brokers, KAFKA_TOPIC_PREFIX: prefix, KAFKA_PARTITIONS: '3' }
    const solo = await startSolo({ ...options, env: { ...env, ...options.env } })
    const bench = await openBench(solo.database)
    const readers: TopicReader[] = []
    try {
      await work({
        solo,
        bench,
        topic: topicsOf(prefix).byStream.domain,
        replay: topicsOf(prefix).replay,
        read: async (keep = true, topics = Object.values(topicsOf(prefix).byStream)) => {
          readers.push(await readTopics({ brokers: broker.brokers, topics, keep }))
          return readers.at(-1)!
        },
        admin: async (task) => {
          const admin = new Kafka({ brokers: [broker.brokers], logLevel: logLevel.NOTHING }).admin()
          await admin.connect()
          return await task(admin).finally(() => admin.disconnect())
        },
      })
    } finally {
      await Promise.all(readers.map((reader) => reader.stop()))
      await bench.close()
      await solo.stop()
    }
  }

  const onboard = ({ clients }: Solo) =>
    clients.tenants.createTenant({ slug: newSlug(), displayName: 'Acme', ownerEmail: 'o@acme.example', requestId: randomUUID() })

  it('F-09 C-079 lost 0, reordered 0: the broker stops and dies at random while mutations go on', { timeout: 600_000 }, async () => {
    const [n, rounds] = full ? [100_000, 20] : [1_000, 2]
    const fault = faultRun('F-09')
    const { random } = fault
    await withService('away', async ({ solo, bench, read }) => {
      const reader = await read(false)
      const tenantIds = await Promise.all(Array.from({ length: 6 }, () => bench.onboard()))
      const load = startLoad(bench, tenantIds, { random, ahead: (total) => total - reader.tally().distinct > n / 2 })
      let slowestMs = 0
      const hurts = { stopped: 0, killed: 0 }
      for (let round = 1; round <= rounds; round++) {
        await until(() => reader.tally().distinct >= (round * n) / (rounds + 1) || load.total() >= 2 * n, generous)
        const kill = round === rounds || (full && random() < 0.2)
        hurts[kill ? 'killed' : 'stopped'] += 1
        await (kill ? broker.kill() : broker.pause())
        // past the send's deadline: a send under way fails, and nobody knows what of it arrived
        await until(() => solo.lines.some(({ msg }) => msg === 'events could not be sent; they wait'), generous)
        const askedAt = performance.now()
        const { id } = await onboard(solo)
        await solo.clients.tenants.getTenant({ tenantId: id })
        slowestMs = Math.max(slowestMs, performance.now() - askedAt)
        solo.lines.length = 0
        await (kill ? broker.restart() : broker.resume())
      }
      fault.recovering()
      await until(() => load.total() >= n, generous)
      await load.stop()
      const total = load.total()
      await until(() => lostOf(load, reader) === 0, generous).catch(() => {})
      const lost = lostOf(load, reader)
      const { reordered, repeats } = reader.tally()
      fault.report(total, { lost, reordered }, { repeats, ...hurts, 'create and get, slowest': `${Math.round(slowestMs)} ms` })
      expect({ lost, reordered, failures: load.failures }).toEqual({ lost: 0, reordered: 0, failures: [] })
    })
  })

  it('F-09 lost 0: what is sent behind a failed send is stored, though the broker got that one too, late', {
    timeout: 120_000,
  }, async () => {
    await withService('sender', async ({ replay, read }) => {
      const sender = createSender({ brokers: [broker.brokers], clientId: 'test' }, quiet)
      let sequence = 0
      // As many as in the batch that failed: with its numbers a broker would take them for a repeat.
      const batch = (name: string) =>
        Array.from({ length: 10 }, (_, nth) => {
          sequence += 1
          return { topic: replay, key: 'one', value: `${name} ${nth}`, headers: { ce_sequence: String(sequence) } }
        })
      try {
        await sender.send(batch('first'), 5_000)
        const acknowledged: string[] = []
        for (let round = 1; round <= 3; round++) {
          await broker.pause()
          const late = batch(`late ${round}`)
          await expect(sender.send(late, 1_000)).rejects.toThrow()
          await broker.resume()
          const next = batch(`next ${round}`)
          await until(() => sender.send(next, 5_000).then(() => true), generous)
          acknowledged.push(...next.map(({ value }) => value))
        }
        const reader = await read(true, [replay])
        const stored = () => new Set(reader.records.map(({ value }) => value))
        await until(() => acknowledged.every((value) => stored().has(value)), { timeoutMs: 15_000 }).catch(() => {})
        expect(acknowledged.filter((value) => !stored().has(value))).toEqual([])
      } finally {
        await sender.close()
      }
    })
  })

  it('F-09 lost 0: the service starts while Kafka is away, serves, and delivers when it comes', async () => {
    await broker.kill()
    await withService('late', async ({ solo, read }) => {
      expect(solo.lines.map(({ msg }) => msg)).toContain('Kafka is away: calls are served, and events wait for it')
      const { id } = await onboard(solo)
      const { events } = await solo.clients.events.listEvents({ tenantId: id })
      await broker.restart()
      await until(() => solo.lines.some(({ msg }) => msg === 'events leave again'), generous)
      const reader = await read()
      await until(() => events.every(({ sequence }) => reader.has(id, Number(sequence))), generous)
      expect(reader.records.map(({ headers }) => headers['ce_id'])).toEqual(events.map((event) => event.id))
    })
  })

  it('F-09 lost 0: a topic that goes missing holds its events until it is there again', async () => {
    await withService('missing', async ({ solo, topic, read, admin }) => {
      await admin((it) => it.deleteTopics({ topics: [topic] }))
      const { id } = await onboard(solo)
      await until(() => solo.lines.some(({ msg }) => msg === 'events could not be sent; they wait'), generous)
      await admin((it) => it.createTopics({ topics: [{ topic, numPartitions: 3 }] }))
      await until(() => admin(async (it) => (await it.fetchTopicMetadata({ topics: [topic] })).topics.length === 1), generous)
      const reader = await read()
      await until(() => reader.has(id, 2), generous)
      expect(reader.records.map(({ headers }) => Number(headers['ce_sequence']))).toEqual([1, 2])
    })
  })

  it('F-09: in production topics that are missing end the start, by name; they are nobody’s to make', async () => {
    await withService('production', async ({ solo, admin }) => {
      const settings = { ...solo.settings, production: true, kafka: { ...solo.settings.kafka, topicPrefix: 'nobody-made.' } }
      const app = createApp(settings, { log: createLog('error'), version: '0.0.0-test' })
      await expect(app.start()).rejects.toThrow(/lacks 7 topics: nobody-made\.customer-management\.domain\.v1, /)
      expect(await admin((it) => it.listTopics())).not.toContain('nobody-made.customer-management.domain.v1')
    })
  })

  it('F-09 F-25: what the broker refuses as too large is parked, whole; what stands around it arrives', async () => {
    await withService('large', async ({ solo, bench, topic, read, admin }) => {
      const configEntries = [{ name: 'max.message.bytes', value: '100000' }]
      await admin((it) => it.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries }] }))
      // the broker minds it a little later
      const probe = createSender({ brokers: [broker.brokers], clientId: 'probe' }, quiet)
      const record = { topic, key: 'probe', value: 'x'.repeat(200_000), headers: { ce_sequence: '1' } }
      const refused = () =>
        probe.send([record], 5_000).then(
          () => false,
          (err: unknown) => err instanceof RecordRefused,
        )
      await until(refused, generous).finally(() => probe.close())
      const [tenantId, otherId] = [await bench.onboard(), await bench.onboard()]
      const large = updatedPayload(tenantId, 200_000)
      await mutate(bench, tenantId, 2)
      await mutate(bench, tenantId, 1, large)
      await Promise.all([mutate(bench, tenantId, 2), mutate(bench, otherId, 3)])
      const reader = await read()
      await until(() => reader.has(tenantId, 5) && reader.has(otherId, 3), generous)
      const types = reader.records.filter(({ key }) => key === tenantId).map(({ headers }) => headers['ce_type'] === parked)
      expect(types).toEqual([false, false, true, false, false])
      const letters = async () => (await solo.superuser.query('select sequence, reason, detail, payload from platform.dead_letters')).rows
      const rows = await until(async () => (await letters()).length > 0 && letters(), generous)
      expect(rows).toEqual([{ sequence: '3', reason: 'refused', detail: expect.stringMatching(/larger|large/), payload: large }])
    })
  })
})
