import { describe, expect, inject, it } from 'vitest'
import { type ConsumerOptions, type CustomerEvent, createConsumer } from '../../clients/typescript/src/events/index.js'
import { parkedRow } from '../../server/outbox/envelope.js'
import { consumerBench, rows, upTo } from '../support/consumer-bench.js'
import { eventRecord, eventRow, tenantNumbered } from '../support/event-records.js'
import { until } from '../support/until.js'

// The SDK's consumer on a real broker, and records as the service sends them.

const generous = { timeoutMs: 60_000 }
const a = tenantNumbered(1)

describe.skipIf(!inject('kafkaBrokers'))("the SDK's consumer", () => {
  const { kafka, place, produce, send, apart, start } = consumerBench()

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
    const [moved] = [eventRecord(eventRow(a, 5), place.topic)]
    await produce({ topic: place.topic, messages: [{ ...moved!, headers: { ...moved!.headers, ce_type: unknown } }] })
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
    const { key, headers } = eventRecord(eventRow(a, 2), place.topic)
    await send(eventRow(a, 1))
    await produce({
      topic: place.topic,
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

  it('the topic of replays is read where somebody wants it', async () => {
    const replayed: CustomerEvent[] = []
    const { got } = start({ replayed: (event) => void replayed.push(event) })
    await send(...rows(a, 1, 2))
    await got(a, 2)
    const { key, value, headers } = eventRecord(eventRow(a, 1), place.topic)
    await produce({
      topic: place.replay,
      messages: [{ key, value, headers: { ...headers, ce_replayid: 'rpl_1' } }],
    })
    await until(() => replayed.length === 1, generous)
    expect(replayed[0]).toMatchObject({ sequence: '00000000000000000001', replayid: 'rpl_1' })
    expect(await got(a, 2)).toEqual([1, 2])
  })

  it('run rejects: a topic that is missing; TypeError: options that cannot work', async () => {
    const outcome = await start({ topicPrefix: `${place.topicPrefix}none.` }).outcome
    expect(outcome).toBeInstanceOf(Error)
    const wrong: Partial<ConsumerOptions>[] = [{ groupId: '' }, { streams: [] }, { attemptsMax: 0 }, { attemptsMax: Number.NaN }]
    for (const it of wrong)
      expect(() => createConsumer({ kafka, groupId: 'g', handler: () => {}, onGap: () => {}, ...it })).toThrow(TypeError)
  })
})
