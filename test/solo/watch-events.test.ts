import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, expect, it } from 'vitest'
import { connect } from '../support/client.js'
import { makeKey } from '../support/keys.js'
import { type Solo, startSolo } from '../support/solo.js'
import { type Watching, watch } from '../support/stream.js'
import { until } from '../support/until.js'

/** WatchEvents with timings of the test's own: a day is what must not come about in it. */
const day = 86_400_000
const soon = 200
const generous = { timeoutMs: 20_000 }
const text = (sequence: number) => String(sequence).padStart(20, '0')

/** What ended it; fails if nothing does. */
const endOf = async (it: Watching) => {
  await until(() => it.end() !== 'open', generous)
  return it.ended
}

const solos: Solo[] = []
const open: Watching[] = []
async function start(timings: Partial<{ heartbeatMs: number; authorizeMs: number; lifetimeMs: number }>) {
  const solo = await startSolo({ deps: { watchTimings: { heartbeatMs: day, authorizeMs: day, lifetimeMs: day, ...timings } } })
  solos.push(solo)
  const { tenants } = solo.clients
  const { id } = await tenants.createTenant({
    slug: `watch-${randomUUID().slice(0, 8)}`,
    displayName: 'Acme',
    ownerEmail: 'o@acme.example',
  })
  const stream = (more: object = {}, clients = solo.clients) => {
    const made = watch(clients, { tenantId: id, ...more })
    open.push(made)
    return made
  }
  return { solo, tenants, tenantId: id, stream }
}
afterEach(() => {
  for (const it of open.splice(0)) it.cancel()
})
afterAll(async () => {
  for (const solo of solos) await solo.stop()
})

it('an empty answer is the heartbeat, with the cursor; events go on between', async () => {
  const { stream, tenants, tenantId } = await start({ heartbeatMs: soon })
  const it = stream({ afterSequence: '2' })
  const beats = () => it.answers.filter(({ events }) => events.length === 0).map(({ lastSequence }) => lastSequence)
  await until(() => beats().length >= 3, generous)
  expect(new Set(beats())).toEqual(new Set([text(2)]))
  await tenants.updateTenant({ tenantId, displayName: 'Next' })
  await until(() => it.sequences().length === 1 && beats().at(-1) === text(3), generous)
  expect(it.sequences()).toEqual([3])
  expect(it.end()).toBe('open')
})

it('a filter that finds nothing moves the heartbeat’s cursor all the same', async () => {
  const { stream, tenants, tenantId } = await start({ heartbeatMs: soon })
  const it = stream({ eventType: 'com.enterprise.customer.tenant.deleted.v1' })
  await tenants.updateTenant({ tenantId, displayName: 'Next' })
  await until(() => it.answers.at(-1)?.lastSequence === text(3), generous)
  expect(it.sequences()).toEqual([])
})

it('UNAVAILABLE STREAM_EXPIRED: at the end of its life, with the cursor to go on from, and nothing lost', async () => {
  const { stream, tenants, tenantId } = await start({ lifetimeMs: 1_000 })
  const first = stream()
  await until(() => first.answers.length > 0, generous)
  const ended = await endOf(first)
  expect(ended).toMatchObject({ code: 'UNAVAILABLE', reason: 'STREAM_EXPIRED', metadata: { last_sequence: text(2) } })
  await tenants.updateTenant({ tenantId, displayName: 'Missed' })
  const second = stream({ afterSequence: ended!.metadata['last_sequence']! })
  await until(() => second.sequences().length > 0, generous)
  expect(second.sequences()).toEqual([3])
})

it('a revocation ends it by the moved revision alone, and by the second’s authorization alone', async () => {
  for (const [authorizeMs, moved] of [
    [day, true],
    [soon, false],
  ] as const) {
    const { stream, solo } = await start({ authorizeMs })
    const key = await makeKey(solo.pool, ['platform-view-events'])
    const its = connect(solo.address, key.key)
    const it = stream({}, its)
    await until(() => it.answers.length > 0, generous)
    if (moved) await key.revoke()
    else await solo.superuser.query('update platform.platform_api_keys set revoke_time = now() where id = $1', [key.keyId])
    expect(await endOf(it)).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_INVALID' })
    its.close()
  }
})

it('PERMISSION_DENIED: the key lives on, but lost the permission', async () => {
  const { stream, solo } = await start({ authorizeMs: soon })
  const key = await makeKey(solo.pool, ['platform-view-events', 'view-tenant'])
  const its = connect(solo.address, key.key)
  const it = stream({}, its)
  await until(() => it.answers.length > 0, generous)
  await solo.superuser.query(`update platform.platform_api_keys set scopes = '{view-tenant}' where id = $1`, [key.keyId])
  expect(await endOf(it)).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'PERMISSION_MISSING' })
  its.close()
})

it('NOT_FOUND: the tenant is gone', async () => {
  const { stream, solo, tenantId } = await start({ authorizeMs: soon })
  const it = stream()
  await until(() => it.answers.length > 0, generous)
  await solo.superuser.query('delete from platform.tenants where id = $1', [tenantId])
  expect(await endOf(it)).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' })
})
