import { describe, expect, it } from 'vitest'
import type { Lease } from '../../server/jobs/job.js'
import { createDelivery } from '../../server/outbox/delivery.js'
import type { EventRecord } from '../../server/outbox/envelope.js'
import { type KafkaSender, RecordRefused } from '../../server/outbox/kafka.js'
import type { PendingRow } from '../../server/outbox/relay.repo.js'
import { topicsOf } from '../../server/outbox/topics.js'

const log = { info: () => {}, warn: () => {}, error: () => {} }
const topics = topicsOf('')
const { signal } = new AbortController()
const updated = 'com.enterprise.customer.tenant.updated.v1'

const row = (tenant: string, sequence: number, change: Partial<PendingRow> = {}): PendingRow => ({
  tenant_id: tenant,
  stream: 'domain',
  sequence: String(sequence),
  sent: '0',
  last: '9',
  over: false,
  time: '2026-11-25T10:58:39.143339Z',
  id: `evt_${tenant}_${sequence}`,
  type: updated,
  subject: '',
  payload: '{}',
  traceparent: '',
  correlation_id: '',
  causation_id: '',
  ...change,
})

const lease = (msLeft = 3_000): Lease => ({ name: 'relay', holder: 'me', epoch: '1', msLeft: () => msLeft })
const name = ({ headers, key }: EventRecord) =>
  `${key}/${Number(headers['ce_sequence'])} ${headers['ce_type']!.split('.').slice(3, 5).join('.')}`

/** A broker that takes all that `judge` has nothing against. */
function setUp(judge: (records: readonly EventRecord[]) => Error | undefined = () => undefined, prepare?: () => Promise<void>) {
  const log_: string[][] = []
  const sender: KafkaSender = {
    ready: async () => {},
    async send(records) {
      const problem = judge(records)
      if (problem) throw problem
      log_.push(records.map(name))
    },
    close: async () => {},
  }
  const delivery = createDelivery({ sender, topics, log, sendTimeoutMs: 1_000, prepare, random: () => 1 })
  return { delivery, sent: log_ }
}

describe('delivery', () => {
  it('sends a batch at once and tells how far each tenant got', async () => {
    const { delivery, sent } = setUp()
    const done = await delivery.deliver([row('a', 1), row('a', 2), row('b', 7)], lease(), signal)
    expect(sent).toEqual([['a/1 tenant.updated', 'a/2 tenant.updated', 'b/7 tenant.updated']])
    expect(done).toEqual({
      sent: [
        { tenantId: 'a', stream: 'domain', sequence: 2n },
        { tenantId: 'b', stream: 'domain', sequence: 7n },
      ],
      parked: [],
      count: 3,
    })
  })

  it('F-08: sends nothing once the lease might end before the send does', async () => {
    const { delivery, sent } = setUp()
    for (const msLeft of [1_000, 0, -60_000]) {
      expect(await delivery.deliver([row('a', 1)], lease(msLeft), signal)).toEqual({ sent: [], parked: [], count: 0 })
    }
    expect(await delivery.deliver([row('a', 1)], lease(), AbortSignal.abort())).toMatchObject({ count: 0 })
    expect(sent).toEqual([])
    expect(delivery.awake()).toContain('domain')
  })

  it('F-25: a poison event is parked under its own number, and later events and tenants pass', async () => {
    const { delivery, sent } = setUp()
    const poison = row('a', 2, { type: 'com.enterprise.customer.tenant.vanished.v1' })
    const done = await delivery.deliver([row('a', 1), poison, row('a', 3), row('b', 1)], lease(), signal)
    expect(sent).toEqual([['a/1 tenant.updated', 'a/2 event.parked', 'a/3 tenant.updated', 'b/1 tenant.updated']])
    expect(done.parked).toEqual([{ row: poison, reason: 'unknown-type', detail: '' }])
    expect(done.count).toBe(4)
  })

  it('F-09: what the broker refuses is found one by one, and parked', async () => {
    const refuse = (records: readonly EventRecord[]) =>
      records.some((it) => name(it) === 'a/2 tenant.updated') ? new RecordRefused('MESSAGE_TOO_LARGE') : undefined
    const { delivery, sent } = setUp(refuse)
    const done = await delivery.deliver([row('a', 1), row('a', 2), row('a', 3), row('b', 1)], lease(), signal)
    expect(sent.flat()).toEqual(['a/1 tenant.updated', 'a/2 event.parked', 'a/3 tenant.updated', 'b/1 tenant.updated'])
    expect(done.parked.map(({ row: { sequence }, reason, detail }) => [sequence, reason, detail])).toEqual([
      ['2', 'refused', 'MESSAGE_TOO_LARGE'],
    ])
    expect(done.sent).toEqual([
      { tenantId: 'a', stream: 'domain', sequence: 3n },
      { tenantId: 'b', stream: 'domain', sequence: 1n },
    ])
  })

  it('F-09: where the broker goes away between them, only what it took before counts', async () => {
    let sends = 0
    const judge = (records: readonly EventRecord[]) => {
      if (records.length > 1) return new RecordRefused('MESSAGE_TOO_LARGE')
      sends += 1
      return sends > 2 ? new Error('away') : undefined
    }
    const { delivery } = setUp(judge)
    const done = await delivery.deliver([row('a', 1), row('a', 2), row('a', 3), row('b', 1)], lease(), signal)
    expect(done).toMatchObject({ sent: [{ tenantId: 'a', sequence: 2n }], count: 2 })
  })

  it('F-09: a topic that is missing rests, and the others go on', async () => {
    const judge = (records: readonly EventRecord[]) =>
      records[0]!.topic === topics.byStream.domain ? new Error('UNKNOWN_TOPIC') : undefined
    const { delivery, sent } = setUp(judge)
    const parkedThere = { stream: 'security' as const, type: 'com.enterprise.customer.nothing.yet.v1' }
    const done = await delivery.deliver([row('a', 1), row('a', 1, parkedThere)], lease(), signal)
    expect(done.sent).toEqual([{ tenantId: 'a', stream: 'security', sequence: 1n }])
    expect(sent).toEqual([['a/1 event.parked']])
    expect(delivery.awake()).toEqual(['security', 'platform'])
    await expect.poll(() => delivery.awake()).toContain('domain')
  })

  it('topics are looked up before the first send, until that succeeds once', async () => {
    let looked = 0
    const { delivery, sent } = setUp(undefined, async () => {
      looked += 1
      if (looked === 1) throw new Error('Kafka is away')
    })
    expect(await delivery.deliver([row('a', 1)], lease(), signal)).toMatchObject({ count: 0 })
    await delivery.deliver([row('a', 1)], lease(), signal)
    await delivery.deliver([row('a', 2)], lease(), signal)
    expect([looked, sent.length]).toEqual([2, 2])
  })
})
