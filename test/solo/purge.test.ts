import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import type { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { type Database, openDatabase } from '../../server/db/database.js'
import { openPool } from '../../server/db/pool.js'
import { noLease } from '../../server/jobs/job.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { purgeDue } from '../../server/services/tenants/purge-due.job.js'
import { createLog } from '../../server/telemetry/log.js'
import { gone, standingOf, whole } from '../support/purged.js'
import { newSlug, onboard } from '../support/rpc.js'
import { type Solo, startSolo } from '../support/solo.js'
import { watch } from '../support/stream.js'
import { readTopics } from '../support/topic-reader.js'
import { until } from '../support/until.js'
import { schemaOf } from '../support/written.js'

const brokers = inject('kafkaBrokers')
const generous = { timeoutMs: 30_000 }
const days = 86_400_000
/** PurgeTenant waits for nothing here. The job comes after four days, for which there are partitions of events ahead. */
const env = { TENANT_PURGE_WAIT_HOURS: '0', TENANT_PURGE_AFTER_DAYS: '4' }
let one: Solo
let two: Solo
let shiftedMs = 0
let db: Database
let pool: pg.Pool
beforeAll(async () => {
  one = await startSolo({ env })
  two = await startSolo({ env, beside: one })
  db = openDatabase({ url: one.database.urls.app, max: 4, named: true, clockShiftMs: () => shiftedMs })
  pool = openPool({ url: one.database.urls.retention, max: 1 })
})
afterAll(async () => {
  await Promise.all([pool?.end(), db?.pool.end()])
  await two?.stop()
  await one?.stop()
})
beforeEach(() => {
  shiftedMs = 0
})

const standing = ({ id }: Tenant) => standingOf(one.superuser, id)
const deleted = async (more: object = {}) => {
  const { id } = await onboard(one.clients, more)
  return one.clients.tenants.deleteTenant({ tenantId: id })
}
const purgeOf = (tenant: Tenant) => ({ tenantId: tenant.id, confirmSlug: tenant.slug })
/** One run of the job, of a replica whose clock stands `ms` ahead; its lines. */
async function runJob(ms: number, signal = new AbortController().signal) {
  shiftedMs = ms
  const lines: Record<string, unknown>[] = []
  const log = createLog('info', { write: (line: string) => void lines.push(JSON.parse(line)) })
  await purgeDue({ db, pool, log }).run({ signal, lease: noLease('purge-due') })
  return lines
}
/** Holds ACCESS SHARE on a table of the tenant, as a reader does, until the work is over. */
async function reading<A>(tenant: Tenant, table: string, work: () => Promise<A>): Promise<A> {
  const client = await one.superuser.connect()
  await client.query(`begin; lock table ${schemaOf(tenant.id)}.${table} in access share mode`)
  try {
    return await work()
  } finally {
    await client.query('rollback')
    client.release()
  }
}

describe('the job', () => {
  it('purges at purge_time, not before, and nothing that lives or is on hold', async () => {
    const due = await deleted()
    const alive = await onboard(one.clients)
    const { id: heldId } = await onboard(one.clients)
    await one.clients.tenants.updateTenant({ tenantId: heldId, purgeHold: true })
    const held = await one.clients.tenants.deleteTenant({ tenantId: heldId })

    await runJob(3.9 * days)
    expect(await standing(due)).toMatchObject(whole)
    const lines = await runJob(4.1 * days)
    expect(lines.filter(({ msg }) => msg === 'purged')).toMatchObject([{ tenant: due.id }])
    expect(await standing(due)).toEqual(gone)
    for (const other of [alive, held]) expect(await standing(other)).toMatchObject(whole)

    await one.clients.tenants.undeleteTenant({ tenantId: heldId })
    await one.clients.tenants.updateTenant({ tenantId: heldId, purgeHold: false })
    await runJob(9 * days)
    expect(await standing(held)).toMatchObject(whole)
    await one.clients.tenants.deleteTenant({ tenantId: heldId })
    await runJob(9 * days)
    expect(await standing(held)).toEqual(gone)
  })

  it('its event and its entry name the system', async () => {
    const tenant = await deleted()
    await runJob(5 * days)
    const { rows } = await one.superuser.query(`select payload from platform.events where tenant_id = $1 order by sequence desc limit 1`, [
      tenant.id,
    ])
    expect(JSON.parse(rows[0].payload)).toMatchObject({ slug: tenant.slug, actor: { type: 'system', id: '' } })
    const entries = await one.superuser.query(`select entry from platform.platform_audit where entry like $1`, [`%${tenant.id}%`])
    expect(entries.rows.map(({ entry }) => JSON.parse(entry))).toMatchObject([
      { action: 'tenant.purge', actor: { type: 'system', id: '', key_id: '' } },
    ])
  })

  it('goes on with the others where somebody holds a lock in one tenant’s schema, and purges that one with the next run', async () => {
    const [locked, free] = [await deleted(), await deleted()]
    const lines = await reading(locked, 'audit_entries', () => runJob(5 * days))
    expect(lines.find(({ msg }) => msg === 'a purge waits')).toMatchObject({ tenant: locked.id, err: { reason: 'TENANT_BUSY' } })
    expect(await standing(locked)).toMatchObject(whole)
    expect(await standing(free)).toEqual(gone)
    await runJob(5 * days)
    expect(await standing(locked)).toEqual(gone)
  })

  it('tells of what it did not expect, after the other tenants', async () => {
    const [broken, free] = [await deleted(), await deleted()]
    // nobody may give the slug back: the registry row of this one cannot go
    await one.superuser.query('create table public.keeper (id text references platform.tenants)')
    await one.superuser.query('insert into public.keeper values ($1)', [broken.id])
    await expect(runJob(5 * days)).rejects.toMatchObject({ code: '23503' })
    expect(await standing(free)).toEqual(gone)
    await one.superuser.query('drop table public.keeper')
    await runJob(5 * days)
    expect(await standing(broken)).toEqual(gone)
  })

  it('ends where its lease is lost', async () => {
    const tenant = await deleted()
    await runJob(5 * days, AbortSignal.abort(new Error('lease lost')))
    expect(await standing(tenant)).toMatchObject(whole)
    await runJob(5 * days)
  })
})

it('ten PurgeTenant on two replicas and the job twice, all at once: one event, one entry', async () => {
  for (let round = 0; round < 3; round++) {
    const tenant = await deleted()
    const calls = Array.from({ length: 10 }, (_, nth) => (nth % 2 ? one : two).clients.tenants.purgeTenant(purgeOf(tenant)))
    const all = await Promise.allSettled([...calls, runJob(5 * days), runJob(5 * days)])
    const answered = all.slice(0, 10)
    expect(answered.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1)
    for (const it of answered) if (it.status === 'rejected') expect(it.reason).toMatchObject({ reason: 'TENANT_NOT_FOUND' })
    expect(all.slice(10).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
    expect(await standing(tenant)).toEqual(gone)
  }
})

it('F-35 one request_id on two replicas at once: all hear the same, one purge', async () => {
  const tenant = await deleted()
  const request = { ...purgeOf(tenant), requestId: randomUUID() }
  const answers = await Promise.all(Array.from({ length: 10 }, (_, nth) => (nth % 2 ? one : two).clients.tenants.purgeTenant(request)))
  expect(new Set(answers.map((it) => it.purgeTime!.getTime())).size).toBe(1)
  expect(await standing(tenant)).toEqual(gone)
})

it('a stream of its events ends NOT_FOUND', async () => {
  const tenant = await deleted()
  const stream = watch(two.clients, { tenantId: tenant.id })
  await until(() => stream.sequences().length > 2, generous)
  await one.clients.tenants.purgeTenant(purgeOf(tenant))
  expect(await stream.ended).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' })
})

it('with no waits at all a tenant can be purged at once, and is by the next run', async () => {
  const eager = await startSolo({ env: { ...env, TENANT_PURGE_AFTER_DAYS: '0' }, beside: one })
  try {
    const [byCall, byJob] = [await onboard(one.clients), await onboard(one.clients)]
    for (const { id } of [byCall, byJob]) await eager.clients.tenants.deleteTenant({ tenantId: id })
    await eager.clients.tenants.purgeTenant(purgeOf(byCall))
    await runJob(0)
    for (const tenant of [byCall, byJob]) expect(await standing(tenant)).toEqual(gone)
  } finally {
    await eager.stop()
  }
})

it('C-086 nothing personal is left of a purged tenant, in any table, but the role mailboxes in its events', async () => {
  const canary = (name: string) => `${name}-${randomUUID().slice(0, 13)}`
  const [owner, billing, name] = [canary('owner'), canary('billing'), canary('name')]
  const contacts = { billingEmail: `${billing}@acme.example` }
  const { id } = await onboard(one.clients, { slug: newSlug(), ownerEmail: `${owner}@acme.example`, contacts })
  const update = { tenantId: id, displayName: name, requestId: randomUUID() }
  await one.clients.tenants.updateTenant(update)
  await one.clients.tenants.suspendTenant({ tenantId: id, reason: canary('reason') })
  await one.clients.tenants.purgeTenant(purgeOf(await one.clients.tenants.deleteTenant({ tenantId: id })))

  const { rows: tables } = await one.superuser.query<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and (n.nspname = 'platform' or n.nspname ~ '^t_') and not c.relispartition`,
  )
  expect(tables.length).toBeGreaterThan(10)
  const hex = (text: string) => Buffer.from(text).toString('hex')
  const found: string[] = []
  for (const { name: table } of [...tables, { name: 'platform.events' }]) {
    for (const text of [owner, billing, name, 'reason-']) {
      const { rows } = await one.superuser.query(`select count(*)::int as n from ${table} t where t::text like $1 or t::text like $2`, [
        `%${text}%`,
        `%${hex(text)}%`,
      ])
      if (rows[0].n > 0) found.push(`${text.replace(/-.*/, '')} in ${table}`)
    }
  }
  expect(found).toEqual(['billing in platform.events', 'name in platform.events'])
})

describe.skipIf(!brokers)('with Kafka', () => {
  it('the event of a purge reaches the domain topic, though nothing else is left of the tenant', async () => {
    const sending = await startSolo({ env, kafka: true })
    const reader = await readTopics({ brokers: brokers!, topics: [topicsOf(sending.prefix).byStream.domain] })
    try {
      const { id } = await onboard(sending.clients)
      const tenant = await sending.clients.tenants.deleteTenant({ tenantId: id })
      await sending.clients.tenants.purgeTenant(purgeOf(tenant))
      await until(() => reader.has(id, 4), generous)
      expect(reader.records.filter(({ key }) => key === id).at(-1)?.headers).toMatchObject({
        ce_type: 'com.enterprise.customer.tenant.purged.v1',
        ce_source: `/customer-management/tenants/${id}`,
      })
    } finally {
      await reader.stop()
      await sending.stop()
    }
  })
})
