import type pg from 'pg'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openPool } from '../../server/db/pool.js'
import { noLease } from '../../server/jobs/job.js'
import { eventPartitions } from '../../server/outbox/event-partitions.job.js'
import { readCounters } from '../../server/telemetry/metrics.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { theCluster } from '../support/solo.js'

let database: TestDatabase
let superuser: pg.Pool
let retention: pg.Pool
let lines: { level: string; fields: Record<string, unknown>; msg: string }[]
beforeEach(async () => {
  database = await createDatabase(theCluster())
  superuser = openPool({ url: database.superuserUrl, max: 4 })
  retention = openPool({ url: database.urls.retention, max: 1 })
  lines = []
})
afterEach(async () => {
  await Promise.all([superuser?.end(), retention?.end()])
  await database?.drop()
})

const logAt = (level: string) => (fields: object, msg: string) => void lines.push({ level, fields: fields as Record<string, unknown>, msg })
const run = () =>
  eventPartitions({ pool: retention, log: { info: logAt('info'), warn: logAt('warn'), error: logAt('error') } }).run({
    signal: new AbortController().signal,
    lease: noLease('event-partitions'),
  })
const weeks = async () =>
  (
    await superuser.query(`select relname from pg_class c join pg_inherits i on i.inhrelid = c.oid
    where i.inhparent = 'platform.events'::regclass order by relname`)
  ).rows.map(({ relname }) => relname as string)
const dropAhead = async () => {
  for (const name of (await weeks()).slice(1)) await superuser.query(`drop table platform.${name}`)
}
/** A week so many weeks ago, with an event of each of these tenants. */
async function weekAgo(ago: number, tenants: Record<string, number>) {
  const { rows } = await superuser.query(
    `select to_char(w, '"events_"IYYY_IW') as name, w, w + interval '1 week' as ends from (select date_trunc('week', now() at time zone 'UTC')
      at time zone 'UTC' - $1 * interval '1 week' as w) x`,
    [ago],
  )
  const [{ name, w, ends }] = rows
  await superuser.query(`set role platform_owner; create table platform.${name} partition of platform.events
    for values from ('${w.toISOString()}') to ('${ends.toISOString()}'); reset role`)
  for (const [tenant, sequence] of Object.entries(tenants)) {
    await superuser.query(
      `insert into platform.events (tenant_id, stream, sequence, time, id, type, subject, payload, traceparent, correlation_id, causation_id)
       values ($1, 'domain', $2, $3, 'evt', 't', '', '{}', '', '', '')`,
      [tenant, sequence, w],
    )
    await superuser.query(
      `insert into platform.tenant_counters as c (tenant_id, domain_sequence) values ($1, $2)
       on conflict (tenant_id) do update set domain_sequence = greatest(c.domain_sequence, excluded.domain_sequence)`,
      [tenant, sequence],
    )
  }
  return name as string
}
const sent = (tenant: string, sequence: number) =>
  superuser.query(
    `insert into platform.relay_positions values ($1, 'domain', $2) on conflict (tenant_id, stream) do update set sent = $2`,
    [tenant, sequence],
  )
const relayed = () => superuser.query(`insert into platform.leases (name) values ('relay')`)
const lastRun = () => lines.findLast(({ msg }) => msg === 'event partitions')?.fields

it('weeks are made ahead while a mutation and a long read are under way, and hold neither up', async () => {
  await dropAhead()
  const [writer, reader] = [await superuser.connect(), await superuser.connect()]
  try {
    await writer.query('begin')
    await writer.query(`insert into platform.events values ('a', 'domain', 1, now(), 'evt', 't', '', '{}', '', '', '')`)
    await reader.query('begin')
    await reader.query('select count(*) from platform.events')
    await run()
    expect(lastRun()).toEqual({ ahead: 4, dropped: 0, kept: 0 })
    expect(await weeks()).toHaveLength(5)
    const constraints = `select count(*)::int as n from pg_constraint where conrelid = ('platform.' || $1)::regclass and contype in ('c', 'p')`
    for (const name of await weeks()) expect((await superuser.query(constraints, [name])).rows).toEqual([{ n: 2 }])
  } finally {
    for (const client of [writer, reader]) {
      await client.query('rollback')
      client.release()
    }
  }
})

it('a lock that is held fails the run within its timeout, and no mutation queues behind it', async () => {
  await dropAhead()
  const blocker = await superuser.connect()
  try {
    await blocker.query('begin')
    await blocker.query('lock table platform.events in share update exclusive mode')
    await expect(run()).rejects.toMatchObject({ code: '55P03' })
    expect(lines).toMatchObject([{ level: 'error', fields: { ahead: 0 } }])
  } finally {
    await blocker.query('rollback')
    blocker.release()
  }
  await run()
  expect(lastRun()).toMatchObject({ ahead: 4 })
})

it('old weeks are dropped once all of them is sent; a week with unsent events stays, and those behind it', async () => {
  await relayed()
  await sent('a', 1)
  const oldest = await weekAgo(9, { a: 1 })
  const unsent = await weekAgo(8, { a: 2, b: 1 })
  const behind = await weekAgo(7, {})
  const young = await weekAgo(2, { a: 3 })
  const before = readCounters()['outbox.partitions.unsent'] ?? 0
  await run()
  expect(lastRun()).toEqual({ ahead: 4, dropped: 1, kept: 2 })
  expect(await weeks()).toEqual(expect.arrayContaining([unsent, behind, young]))
  expect(await weeks()).not.toContain(oldest)
  expect(readCounters()['outbox.partitions.unsent']! - before).toBe(1)
  expect(lines.at(-1)).toMatchObject({ level: 'error', fields: { kept: 2 } })

  await sent('a', 2)
  await run()
  expect(lastRun()).toMatchObject({ dropped: 0, kept: 2 })
  await sent('b', 1)
  await run()
  expect(lastRun()).toEqual({ ahead: 4, dropped: 2, kept: 0 })
  expect(await weeks()).toContain(young)
})

it('where no relay has ever run, age alone decides', async () => {
  await weekAgo(9, { a: 1 })
  await run()
  expect(lastRun()).toEqual({ ahead: 4, dropped: 1, kept: 0 })
})

it('the alarm is told while less than two weeks are left and none can be made', async () => {
  await dropAhead()
  await superuser.query('revoke execute on function lib.make_event_partitions from platform_retention')
  const before = readCounters()['outbox.partitions.alarm'] ?? 0
  await expect(run()).rejects.toMatchObject({ code: '42501' })
  expect(lines).toMatchObject([{ level: 'error', fields: { ahead: 0 }, msg: expect.stringContaining('ALARM') }])
  expect(readCounters()['outbox.partitions.alarm']! - before).toBe(1)
})
