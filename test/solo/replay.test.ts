import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { DeadLetterState, type Replay, ReplayState } from '../../gen/customer/event/v1/event.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { letterId, parkLetters } from '../support/dead-letters.js'
import { eventRow } from '../support/event-records.js'
import { mutate } from '../support/load.js'
import { refusal } from '../support/refusal.js'
import { type Solo, startSolo } from '../support/solo.js'
import { type ReadRecord, readTopics, type TopicReader } from '../support/topic-reader.js'
import { type Bench, openBench } from '../support/transactions.js'
import { until } from '../support/until.js'

const brokers = inject('kafkaBrokers')
const generous = { timeoutMs: 60_000 }
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

/** The replay as GetDeliveryStatus shows it, once it has ended. */
const ended = ({ clients }: Solo, { replayId }: Pick<Replay, 'replayId'>) =>
  until(async () => {
    const { replays } = await clients.events.getDeliveryStatus({})
    return replays.find((it) => it.replayId === replayId && it.endTime)
  }, generous)

describe.skipIf(!brokers)('the topic of replays', () => {
  let solo: Solo
  let bench: Bench
  let reader: TopicReader
  beforeAll(async () => {
    solo = await startSolo({ kafka: true })
    bench = await openBench(solo.database)
    reader = await readTopics({ brokers: brokers!, topics: [topicsOf(solo.prefix).replay] })
  })
  afterAll(async () => {
    await reader?.stop()
    await bench?.close()
    await solo?.stop()
  })
  const recordsOf = (tenantId: string) => reader.records.filter(({ key }) => key === tenantId)
  const numbers = (records: readonly ReadRecord[]) => records.map(({ headers }) => Number(headers['ce_sequence']))
  const stateOf = async (tenantId: string, sequence: number) =>
    (await solo.clients.events.listDeadLetters({ tenantId })).deadLetters.find((it) => Number(it.sequence) === sequence)!

  it('holds what was asked for: the same events in order, with the id of their replay', async () => {
    const tenantId = await bench.onboard()
    await mutate(bench, tenantId, 450)
    const first = await solo.clients.events.replayEvents({ tenantId })
    const state = ReplayState.REPLAY_STATE_DONE
    expect(await ended(solo, first)).toMatchObject({ tenantId, state, sent: 450, untilSequence: '00000000000000000450' })
    await until(() => recordsOf(tenantId).length === 450, generous)
    const second = await solo.clients.events.replayEvents({ tenantId, afterSequence: '3', untilSequence: '5' })
    expect(await ended(solo, second)).toMatchObject({ state, sent: 2 })
    await until(() => recordsOf(tenantId).length === 452, generous)

    const records = recordsOf(tenantId)
    expect(numbers(records)).toEqual([...upTo(450), 4, 5])
    expect(new Set(records.slice(0, 450).map(({ headers }) => headers['ce_replayid']))).toEqual(new Set([first.replayId]))
    expect(new Set(records.slice(450).map(({ headers }) => headers['ce_replayid']))).toEqual(new Set([second.replayId]))
    const { events } = await solo.clients.events.listEvents({ tenantId, pageSize: 500 })
    expect(records.slice(0, 450).map(({ headers, value }) => [headers['ce_id'], headers['ce_type'], value])).toEqual(
      events.map(({ id, type, data }) => [id, type, data]),
    )
  })

  it('shows what is parked as event.parked, as the topic of its stream did', async () => {
    const tenantId = await bench.onboard()
    await mutate(bench, tenantId, 1)
    await solo.superuser.query(
      `with c as (update platform.tenant_counters set domain_sequence = 2 where tenant_id = $1 returning domain_sequence)
       insert into platform.events select $1, 'domain', 2, clock_timestamp(), 'evt_bad', 'nonsense', '', '{}', '', '', '' from c`,
      [tenantId],
    )
    expect(await ended(solo, await solo.clients.events.replayEvents({ tenantId }))).toMatchObject({ sent: 2 })
    await until(() => recordsOf(tenantId).length === 2, generous)
    expect(recordsOf(tenantId)[1]!.headers).toMatchObject({
      ce_type: 'com.enterprise.customer.event.parked.v1',
      ce_replayid: expect.any(String),
    })
  })

  it('holds redriven letters, as they were written, again for each redrive', async () => {
    const tenantId = await bench.onboard()
    await parkLetters(solo.superuser, tenantId, [{ sequence: 7 }, { sequence: 12 }])
    const first = await solo.clients.events.redriveDeadLetters({ tenantId })
    await until(() => recordsOf(tenantId).length === 2, generous)
    expect(numbers(recordsOf(tenantId))).toEqual([7, 12])
    const [letter] = recordsOf(tenantId)
    const row = eventRow(tenantId, 7)
    expect(letter!.headers).toMatchObject({ ce_id: row.id, ce_type: row.type, ce_replayid: first.replayId })
    expect(letter!.value).toBe(row.payload)
    await until(async () => (await stateOf(tenantId, 12)).state === DeadLetterState.DEAD_LETTER_STATE_REDRIVEN, generous)
    const { redriveTime } = await stateOf(tenantId, 7)

    const second = await solo.clients.events.redriveDeadLetters({ deadLetterIds: [letterId(tenantId, 7)] })
    await until(() => recordsOf(tenantId).length === 3, generous)
    expect(recordsOf(tenantId)[2]!.headers).toMatchObject({ ce_id: row.id, ce_replayid: second.replayId })
    await until(async () => (await stateOf(tenantId, 7)).redriveTime! > redriveTime!, generous)
  })

  it('a letter that still cannot be sent falls back to PARKED, and holds up no other', async () => {
    const tenantId = await bench.onboard()
    await parkLetters(solo.superuser, tenantId, [
      { sequence: 1, payload: '{"half": ' },
      { sequence: 2, type: 'nonsense' },
      { sequence: 3, payload: JSON.stringify({ long: 'x'.repeat(2_000_000) }) },
      { sequence: 4 },
    ])
    expect(await solo.clients.events.redriveDeadLetters({ tenantId })).toMatchObject({ queued: 4 })
    await until(async () => (await stateOf(tenantId, 4)).state === DeadLetterState.DEAD_LETTER_STATE_REDRIVEN, generous)
    for (const sequence of upTo(3)) {
      expect(await stateOf(tenantId, sequence)).toMatchObject({ state: DeadLetterState.DEAD_LETTER_STATE_PARKED, redriveTime: undefined })
    }
    await until(() => recordsOf(tenantId).length > 0, generous)
    expect(numbers(recordsOf(tenantId))).toEqual([4])
  })

  it('FAILED: the archive drops what was still to be sent', async () => {
    const tenantId = await bench.onboard()
    await mutate(bench, tenantId, 5)
    const replayId = `rpl_${randomUUID().replaceAll('-', '').slice(0, 26)}`
    await solo.superuser.query(`delete from platform.events where tenant_id = $1 and sequence < 4`, [tenantId])
    await solo.superuser.query(`insert into platform.replays values ($1, $2, 0, 5, 2, 'RUNNING', now(), now(), null)`, [replayId, tenantId])
    expect(await ended(solo, { replayId })).toMatchObject({ state: ReplayState.REPLAY_STATE_FAILED, sent: 2 })
    expect(recordsOf(tenantId)).toEqual([])
    await solo.superuser.query(`delete from platform.events where tenant_id = $1`, [tenantId])
  })

  it('C-079 lost 0, reordered 0: a drain in the midst, and the next holder goes on', async () => {
    const tenantIds = await Promise.all(upTo(3).map(() => bench.onboard()))
    for (const tenantId of tenantIds) for (let nth = 0; nth < 10; nth++) await mutate(bench, tenantId, 400)
    const other = await startSolo({ beside: solo, kafka: true })
    try {
      const replays = await Promise.all(tenantIds.map((tenantId) => solo.clients.events.replayEvents({ tenantId })))
      await until(() => tenantIds.some((tenantId) => recordsOf(tenantId).length > 0), generous)
      await solo.app.stop()
      for (const replay of replays) expect(await ended(other, replay)).toMatchObject({ state: ReplayState.REPLAY_STATE_DONE, sent: 4_000 })
      for (const tenantId of tenantIds) {
        await until(() => reader.has(tenantId, 4_000), generous)
        expect([...new Set(numbers(recordsOf(tenantId)))]).toEqual(upTo(4_000))
      }
    } finally {
      await other.stop()
    }
  })
})

describe('without Kafka', () => {
  it('one replay of a tenant at a time, of five callers at once; the others are REPLAY_RUNNING, and another tenant is free', async () => {
    const solo = await startSolo()
    const bench = await openBench(solo.database)
    try {
      const [tenantId, otherId] = [await bench.onboard(), await bench.onboard()]
      for (const it of [tenantId, otherId]) await mutate(bench, it, 3)
      const replay = () => solo.clients.events.replayEvents({ tenantId })
      const outcomes = await Promise.allSettled(upTo(5).map(replay))
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'REPLAY_RUNNING' })
      }
      expect(await refusal(replay())).toMatchObject({ reason: 'REPLAY_RUNNING' })
      expect(await solo.clients.events.replayEvents({ tenantId: otherId })).toMatchObject({ state: ReplayState.REPLAY_STATE_QUEUED })
      const { replays } = await solo.clients.events.getDeliveryStatus({})
      expect(replays.map((it) => [it.tenantId, it.state, it.sent])).toEqual([
        [otherId, ReplayState.REPLAY_STATE_QUEUED, 0],
        [tenantId, ReplayState.REPLAY_STATE_QUEUED, 0],
      ])
      await solo.superuser.query(`update platform.replays set end_time = now() where tenant_id = $1`, [tenantId])
      expect(await replay()).toMatchObject({ state: ReplayState.REPLAY_STATE_QUEUED })
    } finally {
      await bench.close()
      await solo.stop()
    }
  })
})
