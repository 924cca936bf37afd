import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { Kafka, logLevel, Partitioners, type Producer } from 'kafkajs'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest'
import {
  type ConsumerOptions,
  type CustomerEvent,
  createConsumer,
  type Gap,
  type Poison,
} from '../../clients/typescript/src/events/index.js'
import { type EventRow, parkedRow } from '../../server/outbox/envelope.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { eventRecord, eventRow, tenantNumbered } from '../support/event-records.js'
import { until } from '../support/until.js'
import { forgetPid, watchPid } from '../support/watchdog.js'

// The SDK's consumer on a real broker, and records as the service sends them.

const brokers = inject('kafkaBrokers')
const generous = { timeoutMs: 60_000 }

describe.skipIf(!brokers)("the SDK's consumer", () => {
  const kafka = new Kafka({ brokers: (brokers ?? '').split(','), clientId: 'sdk-consumer', logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  let producer: Producer
  beforeAll(async () => {
    producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await Promise.all([admin.connect(), producer.connect()])
  })
  afterAll(async () => {
    await Promise.all([admin.disconnect(), producer?.disconnect()])
  })

  // Topics of each test's own.
  let topicPrefix: string
  let topic: string
  beforeEach(async () => {
    topicPrefix = `sdk-${randomUUID().slice(0, 8)}.`
    topic = topicsOf(topicPrefix).byStream.domain
    const topics = [topic, topicsOf(topicPrefix).replay].map((name) => ({ topic: name, numPartitions: 3 }))
    await admin.createTopics({ topics, waitForLeaders: true })
  })

  const send = async (...rows: EventRow[]) => {
    const messages = rows.map((row) => eventRecord(row, topic)).map(({ key, value, headers }) => ({ key, value, headers: { ...headers } }))
    return await producer.send({ topic, messages })
  }
  const rows = (tenantId: string, first: number, last: number) =>
    Array.from({ length: last - first + 1 }, (_, i) => eventRow(tenantId, first + i))
  /** Tenants whose partitions differ. */
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
    const note = (event: CustomerEvent) => {
      handled.set(event.tenantId, [...(handled.get(event.tenantId) ?? []), Number(event.sequence)])
    }
    const groupId = options.groupId ?? `group-${randomUUID()}`
    const consumer = createConsumer({ kafka, topicPrefix, onGap: (gap) => void gaps.push(gap), handler: note, ...options, groupId })
    const outcome = consumer.run().then(
      () => 'stopped' as const,
      (error: unknown) => error,
    )
    onTestFinished(() => consumer.stop())
    const of = (tenantId: string) => handled.get(tenantId) ?? []
    const got = (tenantId: string, count: number) => until(() => of(tenantId).length >= count && of(tenantId), generous)
    return { consumer, groupId, of, got, gaps, poisons, note, outcome, park: (poison: Poison) => void poisons.push(poison) }
  }
  const a = tenantNumbered(1)
  const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

  it('each event once and in order: repeats are dropped, a gap is told, a parked or unknown one is none', async () => {
    const unknown = 'com.enterprise.customer.tenant.moved.v2'
    const types: string[] = []
    const { got, gaps, note } = start({
      handler: (event) => {
        note(event)
        types.push(event.type === 'unknown' ? event.unknownType : event.type)
      },
    })
    await send(...rows(a, 1, 3), ...rows(a, 1, 3), parkedRow(eventRow(a, 4), 'malformed'))
    const [moved] = [eventRecord(eventRow(a, 5), topic)]
    await producer.send({ topic, messages: [{ ...moved!, headers: { ...moved!.headers, ce_type: unknown } }] })
    await send(...rows(a, 2, 4), ...rows(a, 9, 10))
    expect(await got(a, 7)).toEqual([1, 2, 3, 4, 5, 9, 10])
    expect(gaps).toEqual([{ tenantId: a, stream: 'domain', afterSequence: '00000000000000000005', beforeSequence: '00000000000000000009' }])
    expect(types[3]).toBe('com.enterprise.customer.event.parked.v1')
    expect(types[4]).toBe(unknown)
  })

  it('order is kept for each of many tenants', async () => {
    const tenants = upTo(20).map(tenantNumbered)
    const { got } = start()
    for (let round = 0; round < 5; round++) await send(...tenants.flatMap((it) => rows(it, round * 20 + 1, round * 20 + 20)))
    for (const tenantId of tenants) expect(await got(tenantId, 100)).toEqual(upTo(100))
  })

  it('one event at a time of a tenant; other partitions go on meanwhile', async () => {
    const [slow, quick] = await apart(2)
    let [inside, most] = [0, 0]
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const { of, got, note } = start({
      handler: async (event) => {
        if (event.tenantId === slow) {
          most = Math.max(most, ++inside)
          await held
          inside -= 1
        }
        note(event)
      },
    })
    await send(...rows(slow!, 2, 5), ...rows(quick!, 2, 5))
    // The broker's partitions come in one answer: those behind the first wait for the slow one's batch, not for more.
    await until(() => of(quick!).length > 0, generous)
    expect(of(slow!)).toEqual([])
    release()
    expect(await got(slow!, 5)).toEqual(upTo(5))
    expect(await got(quick!, 5)).toEqual(upTo(5))
    expect(most).toBe(1)
  })

  it('a handler that throws twice gets the event a third time, and nothing behind it before; other partitions do not wait', async () => {
    const [flaky, other] = await apart(2)
    const tried: number[] = []
    const { of, got, note } = start({
      handler: async (event) => {
        if (event.tenantId === flaky) tried.push(Number(event.sequence))
        if (event.tenantId === flaky && tried.filter((it) => it === 2).length <= 2 && Number(event.sequence) === 2) {
          await until(() => of(other!).length >= tried.length, generous)
          throw new Error('not yet')
        }
        note(event)
      },
    })
    await send(...rows(flaky!, 2, 4), ...rows(other!, 2, 10))
    expect(await got(flaky!, 4)).toEqual(upTo(4))
    expect(tried).toEqual([1, 2, 2, 2, 3, 4])
    expect(await got(other!, 10)).toEqual(upTo(10))
  })

  it('a handler that always throws: the event is parked after attemptsMax, and what is behind it passes', async () => {
    const { got, gaps, poisons, note, park } = start({
      attemptsMax: 3,
      onPoison: (poison) => park(poison),
      handler: (event) => {
        if (Number(event.sequence) === 2) throw new Error('never')
        note(event)
      },
    })
    await send(...rows(a, 1, 4))
    expect(await got(a, 3)).toEqual([1, 3, 4])
    expect(poisons).toMatchObject([{ reason: 'handler', event: { sequence: '00000000000000000002' }, position: { tenantId: a } }])
    expect(gaps).toEqual([])
  })

  it('where nobody parks, the consumer stops before the event; the next one of its group begins with it', async () => {
    const first = start({
      attemptsMax: 2,
      handler: (event) => {
        if (Number(event.sequence) === 3) throw new Error('never')
        first.note(event)
      },
    })
    await send(...rows(a, 1, 4))
    expect(await first.outcome).toMatchObject({ name: 'ConsumerError', message: expect.stringContaining('cannot be handled: never') })
    expect(first.of(a)).toEqual([1, 2])
    const second = start({ groupId: first.groupId })
    expect(await second.got(a, 2)).toEqual([3, 4])
  })

  it('poison is parked with its bytes and passed: no envelope, no JSON, nothing at all', async () => {
    const { got, gaps, poisons, park } = start({ onPoison: (poison) => park(poison) })
    const { key, headers } = eventRecord(eventRow(a, 2), topic)
    await send(eventRow(a, 1))
    await producer.send({
      topic,
      messages: [
        { key, value: '{"half": ', headers: { ...headers } },
        { key, value: 'what?' },
        { key, value: null },
      ],
    })
    await send(eventRow(a, 3))
    expect(await got(a, 2)).toEqual([1, 3])
    expect(poisons.map(({ reason, record, position }) => [reason, record.value && String(record.value), position?.sequence])).toEqual([
      ['record', '{"half": ', '00000000000000000002'],
      ['record', 'what?', undefined],
      ['record', null, undefined],
    ])
    expect(gaps).toEqual([])
  })

  it('events that Kafka no longer has are a gap: of a group that was away, and of one that begins late', async () => {
    const kept = { lastSequence: async () => '00000000000000000003' }
    const first = start()
    const placed = await send(...rows(a, 1, 3))
    await first.got(a, 3)
    await first.consumer.stop()
    await send(...rows(a, 4, 8))
    const { partition } = placed[0]!
    const { high } = (await admin.fetchTopicOffsets(topic)).find((it) => it.partition === partition)!
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(Number(high) - 2) }] })
    const second = start({ groupId: first.groupId, ...kept })
    expect(await second.got(a, 2)).toEqual([7, 8])
    expect(second.gaps).toMatchObject([{ afterSequence: '00000000000000000003', beforeSequence: '00000000000000000007' }])
    const late = start({ lastSequence: async () => undefined })
    expect(await late.got(a, 2)).toEqual([7, 8])
    expect(late.gaps).toMatchObject([{ afterSequence: '00000000000000000000', beforeSequence: '00000000000000000007' }])
  })

  it('effects once over rebalances: a second consumer joins and leaves, twice, while events come', async () => {
    const tenants = upTo(9).map(tenantNumbered)
    const each = 160
    const groupId = `group-${randomUUID()}`
    // What a database does: the position and the effect in one transaction, which refuses a number that it has.
    const positions = new Map<string, string>()
    const effects = new Map(tenants.map((it) => [it, [] as number[]]))
    const join = () => {
      const own = { effects: 0 }
      const started = start({
        groupId,
        lastSequence: async ({ tenantId }) => positions.get(tenantId),
        handler: async ({ tenantId, sequence }) => {
          await new Promise((resolve) => setImmediate(resolve))
          if (sequence <= (positions.get(tenantId) ?? '')) return
          positions.set(tenantId, sequence)
          effects.get(tenantId)!.push(Number(sequence))
          own.effects += 1
        },
      })
      return { ...started, own }
    }
    const first = join()
    const others: ReturnType<typeof join>[] = []
    const settled = async (count: number) => {
      const [group] = (await admin.describeGroups([groupId])).groups
      return group!.state === 'Stable' && group!.members.length === count
    }
    let sent = 0
    const sendMore = async (count: number) => {
      for (const until = sent + count; sent < until; sent += 5) await send(...tenants.flatMap((it) => rows(it, sent + 1, sent + 5)))
    }
    const all = () => until(() => [...effects.values()].every((it) => it.length >= sent), generous)
    for (let round = 0; round < 4; round++) {
      const joins = round % 2 === 0
      if (joins) others.push(join())
      const left = joins ? undefined : others.at(-1)!.consumer.stop()
      await sendMore(each / 8) // while the group rebalances
      await left
      await until(() => settled(joins ? 2 : 1), generous)
      await sendMore(each / 8)
      await all()
    }
    for (const { own } of others) expect(own.effects).toBeGreaterThan(0)
    for (const it of effects.values()) expect(it).toEqual(upTo(each))
    expect([first, ...others].flatMap(({ gaps }) => gaps)).toEqual([])
  })

  it('killed in the handler: the next consumer of the group gets the event again', async () => {
    const groupId = `group-${randomUUID()}`
    await send(...rows(a, 1, 3))
    const script = fileURLToPath(new URL('../support/consumer-process.ts', import.meta.url))
    const child = spawn(process.execPath, ['--import', 'tsx', script, brokers!, topicPrefix, groupId], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    watchPid(child.pid!)
    const exited = new Promise((resolve) => child.once('exit', resolve))
    let output = ''
    child.stdout.on('data', (text) => {
      output += text
    })
    await until(() => output.includes('has 2'), generous).finally(() => child.kill('SIGKILL'))
    await exited
    forgetPid(child.pid!)
    const next = start({ groupId })
    await next.got(a, 2)
    await until(() => next.of(a).includes(3), generous)
    // Whether 1 was committed before the kill is open: it may come again, before the others and in order.
    expect(next.of(a).slice(-2)).toEqual([2, 3])
    expect(upTo(3).slice(-next.of(a).length)).toEqual(next.of(a))
  })

  it('stop lets the running handler finish, and commits it', async () => {
    let inside = false
    let finish = () => {}
    const held = new Promise<void>((resolve) => {
      finish = resolve
    })
    const first = start({
      handler: async (event) => {
        inside = true
        await held
        first.note(event)
      },
    })
    await send(...rows(a, 1, 2))
    await until(() => inside, generous)
    const stopped = first.consumer.stop()
    finish()
    await stopped
    expect(await first.outcome).toBe('stopped')
    expect(first.of(a)).toEqual([1])
    expect(await start({ groupId: first.groupId }).got(a, 1)).toEqual([2])
  })

  it('the topic of replays is read where somebody wants it', async () => {
    const replayed: CustomerEvent[] = []
    const { got } = start({ replayed: (event) => void replayed.push(event) })
    await send(...rows(a, 1, 2))
    await got(a, 2)
    const { key, value, headers } = eventRecord(eventRow(a, 1), topic)
    await producer.send({
      topic: topicsOf(topicPrefix).replay,
      messages: [{ key, value, headers: { ...headers, ce_replayid: 'rpl_1' } }],
    })
    await until(() => replayed.length === 1, generous)
    expect(replayed[0]).toMatchObject({ sequence: '00000000000000000001', replayid: 'rpl_1' })
    expect(await got(a, 2)).toEqual([1, 2])
  })

  it('run rejects: a topic that is missing; TypeError: options that cannot work', async () => {
    const outcome = await start({ topicPrefix: `${topicPrefix}none.` }).outcome
    expect(outcome).toBeInstanceOf(Error)
    const wrong: Partial<ConsumerOptions>[] = [{ groupId: '' }, { streams: [] }, { attemptsMax: 0 }, { attemptsMax: Number.NaN }]
    for (const it of wrong)
      expect(() => createConsumer({ kafka, groupId: 'g', handler: () => {}, onGap: () => {}, ...it })).toThrow(TypeError)
  })
})
