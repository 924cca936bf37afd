import { setTimeout as sleep } from 'node:timers/promises'
import { TenantServiceService, UpdateTenantRequest } from '../gen/customer/tenant/v1/tenant_service.js'
import { connectOnce } from '../server/db/connect.js'
import { topicsOf } from '../server/outbox/topics.js'
import type { TestDatabase } from '../test/support/databases.js'
import { until } from '../test/support/until.js'
import { sample } from './limits/writer.js'
import { type Line, ms, rate, times } from './line.js'
import { interleave, type Side } from './sides.js'
import { calls, makeTenants, profiled, type Stage } from './stage.js'
import { openTopics, type Topics, timeHeader } from './topic.js'

const prefix = 'bench.'
const bareTopic = 'bench.bare'
const backlog = 20_000

/** From an event's time, which is just before its commit, to a consumer; and how fast a backlog goes. */
export async function events(stage: Stage): Promise<Line[]> {
  const domain = topicsOf(prefix).byStream.domain
  const topics = await openTopics(stage, [domain, bareTopic])
  const database = await stage.database()
  const ids = await makeTenants(database, 100)
  const server = await stage.server('events', database, {
    KAFKA_BROKERS: topics.brokers,
    KAFKA_TOPIC_PREFIX: prefix,
    KAFKA_PARTITIONS: '12',
  })
  const messages = Array.from({ length: 400 }, (_, i) =>
    UpdateTenantRequest.encode(UpdateTenantRequest.fromPartial({ tenantId: ids[i % ids.length]!, displayName: `Acme ${i}` })).finish(),
  )
  const { path } = TenantServiceService.updateTenant
  const ours = (perSecond: number): Side => {
    const updating = calls(stage, server, path, messages, { perSecond, mayFail: true })
    return {
      async slice(sliceMs) {
        topics.forget()
        const made = await updating.slice(sliceMs)
        return { ...made, ...(await topics.arrived(made.calls)) }
      },
    }
  }
  const warming = calls(stage, server, path, messages, { inFlight: 8 })
  const enough = performance.now() + 5_000
  for (let made = 0; made < 2_000 && performance.now() < enough; ) made += (await warming.slice(500)).calls
  topics.forget()
  const lines: Line[] = []
  for (const [perSecond, p99Max] of [
    [100, 25],
    [1_000, 50],
  ] as const) {
    const sides = { ours: ours(perSecond), bare: bareSends(topics, ids, perSecond) }
    const found = await interleave(sides, { warmCalls: 200, rounds: 3, ms: 1_200 })
    const side = (name: 'ours' | 'bare') => `${ms(found.of(name, 'p50Ms'))} / ${ms(found.of(name, 'p99Ms'))}`
    const [p50, p99, reached] = [found.of('ours', 'p50Ms'), found.of('ours', 'p99Ms'), found.of('ours', 'perSecond')]
    lines.push({
      operation: `commit → consumer, p50/p99 at ${rate(perSecond)}${reached < perSecond * 0.95 ? ` (reached: ${rate(reached)})` : ''}`,
      ours: side('ours'),
      limit: `kafkajs alone ${side('bare')}`,
      result: times(p50 / found.of('bare', 'p50Ms')),
      goal: `≤ 10 / ${p99Max} ms`,
      reached: p50 <= 10 && p99 <= p99Max && reached >= perSecond * 0.95,
    })
  }
  await topics.quiet()
  const drained = await profiled(server, () => drain(database))
  const alone = await sendAll(topics, ids)
  lines.push({
    operation: `a backlog of ${backlog / 1000} k events leaves`,
    ours: rate(drained),
    limit: `kafkajs alone, batches of 500 ${rate(alone)}`,
    result: times(drained / alone),
    goal: '≥ 10 k/s',
    reached: drained >= 10_000,
  })
  return lines
}

const record = (key: string) => ({ key, value: sample.payload, headers: { ce_time: timeHeader(), ce_type: 'bench', ce_id: 'evt' } })

/** What is due is sent together, and the next when that has its answer, as the relay does. */
function bareSends({ producer, arrived, forget }: Topics, ids: readonly string[], perSecond: number): Side {
  return {
    async slice(sliceMs) {
      forget()
      const start = performance.now()
      let made = 0
      for (let elapsed = 0; elapsed < sliceMs; elapsed = performance.now() - start) {
        const due = Math.floor((elapsed * perSecond) / 1000) - made
        const records = Array.from({ length: due }, (_, i) => record(ids[(made + i) % ids.length]!))
        made += due
        if (due > 0) await producer.send({ topic: bareTopic, acks: -1, messages: records })
        else await sleep(1)
      }
      const rateMade = made / ((performance.now() - start) / 1000)
      return { perSecond: rateMade, cpuUs: Number.NaN, calls: made, ...(await arrived(made)) }
    },
  }
}

async function sendAll({ producer }: Topics, ids: readonly string[]): Promise<number> {
  const start = performance.now()
  for (let sent = 0; sent < backlog; sent += 500) {
    const messages = Array.from({ length: 500 }, (_, i) => record(ids[i % ids.length]!))
    await producer.send({ topic: bareTopic, acks: -1, messages })
  }
  return backlog / ((performance.now() - start) / 1000)
}

/** Commits a backlog at once, and waits until the relay's positions are beyond it. */
async function drain({ superuserUrl }: TestDatabase): Promise<number> {
  const connection = await connectOnce(superuserUrl)
  const sent = async () =>
    Number((await connection.query(`select sum(sent)::bigint as sent from platform.relay_positions where stream = 'domain'`)).rows[0].sent)
  const before = await sent()
  await connection.query(
    `with moved as (
       update platform.tenant_counters set domain_sequence = domain_sequence + $1 where tenant_id like 'tnt%' returning tenant_id, domain_sequence
     )
     insert into platform.events
       (tenant_id, stream, sequence, time, id, type, subject, payload, traceparent, correlation_id, causation_id)
     select tenant_id, 'domain', domain_sequence - $1 + nth, clock_timestamp(), 'evt_' || tenant_id || nth,
       'com.enterprise.customer.tenant.updated.v1', '', $2, $3, '', ''
     from moved, generate_series(1, $1) nth`,
    [backlog / 100, sample.payload, sample.traceparent],
  )
  const start = performance.now()
  await until(async () => (await sent()) >= before + backlog, { timeoutMs: 60_000 })
  await connection.end()
  return backlog / ((performance.now() - start) / 1000)
}
