import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { newId } from '../../server/keys/ids.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { readCounters } from '../../server/telemetry/metrics.js'
import { mutate, updatedPayload } from '../support/load.js'
import { type Solo, startSolo } from '../support/solo.js'
import { readTopics, type TopicReader } from '../support/topic-reader.js'
import { type Bench, openBench } from '../support/transactions.js'
import { until } from '../support/until.js'

const brokers = inject('kafkaBrokers')
const generous = { timeoutMs: 30_000 }
const updated = 'com.enterprise.customer.tenant.updated.v1'
const parked = 'com.enterprise.customer.event.parked.v1'

describe.skipIf(!brokers)('poison in the outbox', () => {
  let solo: Solo
  let bench: Bench
  let reader: TopicReader
  beforeAll(async () => {
    solo = await startSolo({ kafka: true })
    bench = await openBench(solo.database)
    reader = await readTopics({ brokers: brokers!, topics: Object.values(topicsOf(solo.prefix).byStream) })
  })
  afterAll(async () => {
    await reader?.stop()
    await bench?.close()
    await solo?.stop()
  })

  interface Poison {
    readonly type?: string
    readonly payload?: string
    readonly id?: string
    readonly subject?: string
    readonly correlation?: string
  }
  /** What no mutation can write: as the superuser, past the code, with the tenant's next number. */
  const insert = async (tenantId: string, { type = updated, payload = '{}', subject = '', correlation = '', ...rest }: Poison) => {
    const id = rest.id ?? `evt_bad${newId('evt').slice(7)}`
    const { rows } = await solo.superuser.query(
      `with c as (update platform.tenant_counters set domain_sequence = domain_sequence + 1 where tenant_id = $1 returning domain_sequence)
       insert into platform.events (tenant_id, stream, sequence, time, id, type, subject, payload, traceparent, correlation_id, causation_id)
       select $1, 'domain', domain_sequence, clock_timestamp(), $2, $3, $4, $5, '', $6, '' from c returning sequence`,
      [tenantId, id, type, subject, payload, correlation],
    )
    return { id, sequence: Number(rows[0].sequence) }
  }
  const recordsOf = (tenantId: string) => reader.records.filter(({ key }) => key === tenantId)
  const lettersOf = async (tenantId: string) =>
    (await solo.superuser.query('select * from platform.dead_letters where tenant_id = $1 order by sequence', [tenantId])).rows

  const cases: [string, string, (tenantId: string) => Poison][] = [
    ['a payload of 2 MB', 'too-large', (tenantId) => ({ payload: updatedPayload(tenantId, 2_000_000) })],
    ['a type that nobody knows', 'unknown-type', () => ({ type: 'com.enterprise.customer.tenant.vanished.v1' })],
    ['broken JSON', 'malformed', () => ({ payload: '{"tenant_id": "tnt_' })],
    ['JSON that is no object', 'malformed', () => ({ payload: '[1]' })],
    ['attributes of 5 kB', 'malformed', () => ({ correlation: 'x'.repeat(5_000) })],
  ]

  it.each(cases)('F-25 %s is parked as %s under its own number; what is behind it and other tenants pass', async (_name, reason, make) => {
    const [tenantId, otherId] = [await bench.onboard(), await bench.onboard()]
    const before = readCounters()['outbox.parked'] ?? 0
    const poison = make(tenantId)
    await mutate(bench, tenantId, 1)
    const { id, sequence } = await insert(tenantId, poison)
    await mutate(bench, tenantId, 2)
    await mutate(bench, otherId, 2)
    await until(() => reader.has(tenantId, 4) && reader.has(otherId, 2), generous)

    expect(recordsOf(tenantId).map(({ headers }) => [Number(headers['ce_sequence']), headers['ce_type']])).toEqual([
      [1, updated],
      [2, parked],
      [3, updated],
      [4, updated],
    ])
    const told = recordsOf(tenantId)[1]!
    expect(JSON.parse(told.value)).toEqual({ tenant_id: tenantId, event_id: id, event_type: poison.type ?? updated, reason })
    expect(told.headers).toMatchObject({ ce_causationid: id, ce_dataclassification: 'internal' })
    expect(told.headers['ce_id']).not.toBe(id)

    const letter = { event_id: id, type: poison.type ?? updated, payload: poison.payload ?? '{}', correlation_id: poison.correlation ?? '' }
    const letters = await until(async () => (await lettersOf(tenantId)).length === 1 && lettersOf(tenantId), generous)
    expect(letters).toMatchObject([{ ...letter, sequence: String(sequence), reason, time: new Date(told.headers['ce_time']!) }])
    expect(readCounters()['outbox.parked']! - before).toBe(1)
    expect(solo.lines.filter((line) => line['msg'] === 'event parked' && line['event'] === id)).toMatchObject([{ level: 'error', reason }])

    const { events } = await solo.clients.events.listEvents({ tenantId })
    expect(events.map((event) => [Number(event.sequence), event.type, event.id])).toEqual(
      recordsOf(tenantId).map(({ headers }) => [Number(headers['ce_sequence']), headers['ce_type'], headers['ce_id']]),
    )
  })

  it('F-25 blocked tenants 0: hundreds of poison events in one tenant hold up nobody', async () => {
    const [tenantId, otherId] = [await bench.onboard(), await bench.onboard()]
    const many = 300
    await solo.superuser.query(
      `insert into platform.events (tenant_id, stream, sequence, time, id, type, subject, payload, traceparent, correlation_id, causation_id)
       select $1, 'domain', n, clock_timestamp(), 'evt_bad' || n, 'nonsense', '', repeat('x', 3000 * (n % 2)), '', '', '' from generate_series(1, $2) n`,
      [tenantId, many],
    )
    await solo.superuser.query('update platform.tenant_counters set domain_sequence = $2 where tenant_id = $1', [tenantId, many])
    await mutate(bench, tenantId, 3)
    await mutate(bench, otherId, 3)
    await until(() => reader.has(otherId, 3) && reader.has(tenantId, many + 3), generous)
    expect(recordsOf(tenantId).map(({ headers }) => Number(headers['ce_sequence']))).toEqual(
      Array.from({ length: many + 3 }, (_, i) => i + 1),
    )
    await until(async () => (await lettersOf(tenantId)).length === many, generous)
  })
})
