import { randomUUID } from 'node:crypto'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { Tenant } from '../../../gen/customer/tenant/v1/tenant.js'
import { connect } from '../../support/client.js'
import { letterId, parkLetters } from '../../support/dead-letters.js'
import { makeKey } from '../../support/keys.js'
import { deletedBefore, gone, standingOf, whole } from '../../support/purged.js'
import { refusal } from '../../support/refusal.js'
import { newSlug, onboard, theClients, thePool, theServer, theSuperuser } from '../../support/rpc.js'
import { expectedPayload } from '../../support/tenant-payload.js'
import { schemaOf, writingNothing } from '../../support/written.js'

const clients = theClients()
const { purgeTenant, getTenant } = clients.tenants
let tenant: Tenant
let request: { tenantId: string; confirmSlug: string }
const standing = () => standingOf(theSuperuser(), tenant.id)
const counters = async () =>
  (await theSuperuser().query('select * from platform.tenant_counters where tenant_id = $1', [tenant.id])).rows[0]

/** Deleted 73 hours ago: may be purged. */
beforeEach(async () => {
  const { id } = await onboard(clients, { slug: newSlug('purge'), contacts: { billingEmail: 'billing@acme.example' }, labels: { a: '1' } })
  await clients.tenants.deleteTenant({ tenantId: id })
  await deletedBefore(theSuperuser(), id, 73)
  tenant = await getTenant({ tenantId: id })
  request = { tenantId: id, confirmSlug: tenant.slug }
})
afterAll(() => clients.close())

it('OK: what it has parked goes too, and nothing of another tenant', async () => {
  const other = await onboard(clients, { slug: newSlug('stays') })
  for (const { id } of [tenant, other]) {
    await parkLetters(theSuperuser(), id, [{ sequence: 900_000 }, { sequence: 900_001 }])
    await clients.events.redriveDeadLetters({ deadLetterIds: [letterId(id, 900_001)] })
  }
  const parkedOf = async (id: string) => {
    const { rows } = await theSuperuser().query(
      `select (select count(*)::int from platform.dead_letters where tenant_id = $1) as letters,
        (select count(*)::int from platform.redrives where tenant_id = $1) as redrives`,
      [id],
    )
    return rows[0] as { letters: number; redrives: number }
  }
  await purgeTenant(request)
  expect(await parkedOf(tenant.id)).toEqual({ letters: 0, redrives: 0 })
  expect((await parkedOf(other.id)).letters).toBe(2)
})

it('OK: schema, role, registry row and stored answers are gone; one event, one entry of the platform, a higher revision of rights', async () => {
  expect(await standing()).toMatchObject(whole)
  const before = await counters()
  const { purgeTime } = await purgeTenant({ ...request, etag: tenant.etag }, { 'x-request-id': 'purge-1' })
  expect(await standing()).toEqual(gone)
  const after = await counters()
  expect(Number(after.domain_sequence)).toBe(Number(before.domain_sequence) + 1)
  expect(Number(after.access_revision)).toBe(Number(before.access_revision) + 1)
  const { rows } = await theSuperuser().query('select * from platform.events where tenant_id = $1 order by sequence desc limit 1', [
    tenant.id,
  ])
  const data = JSON.parse(rows[0].payload)
  expect(rows[0]).toMatchObject({ type: 'com.enterprise.customer.tenant.purged.v1', subject: '', correlation_id: 'purge-1' })
  expect(data).toEqual(expectedPayload({ ...tenant, purgeTime }, data))
  const entries = await theSuperuser().query('select entry from platform.platform_audit where entry like $1', [`%${tenant.id}%`])
  expect(entries.rows.map(({ entry }) => JSON.parse(entry))).toEqual([
    {
      id: expect.stringMatching(/^aud_/),
      action: 'tenant.purge',
      tenant_id: 'platform',
      actor: { ...data.actor, key_id: expect.stringMatching(/^pky_/) },
      request_id: 'purge-1',
      target: `tenants/${tenant.id}`,
    },
  ])
})

it('afterwards NOT_FOUND for every RPC, as for an id that nobody has; its slug is SLUG_RETIRED, also where it was never free in between', async () => {
  await purgeTenant(request)
  const tenantId = tenant.id
  const unknown = await refusal(getTenant({ tenantId: 'tnt_00000000000000000000000000' }))
  for (const call of [
    () => getTenant({ tenantId }),
    () => clients.tenants.undeleteTenant({ tenantId }),
    () => clients.tenants.updateTenant({ tenantId, displayName: 'x' }),
    () => clients.tenants.getTenantSettings({ tenantId }),
    () => clients.events.listEvents({ tenantId }),
    () => purgeTenant(request),
    () => purgeTenant({ ...request, tenantId: 'tnt_00000000000000000000000000' }),
  ]) {
    const refused = await refusal(call())
    expect(refused).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' })
    expect(refused.trailers.get('grpc-status-details-bin')).toEqual(unknown.trailers.get('grpc-status-details-bin'))
  }
  expect(await refusal(clients.tenants.resolveTenant({ slug: tenant.slug }))).toMatchObject({ code: 'NOT_FOUND' })
  expect(await refusal(onboard(clients, { slug: tenant.slug }))).toMatchObject({ code: 'ALREADY_EXISTS', reason: 'SLUG_RETIRED' })
  expect(await standing()).toEqual(gone)
})

describe('refused, and nothing is touched', () => {
  const refuse = (more: object = {}) => writingNothing(tenant.id, () => refusal(purgeTenant({ ...request, ...more })))

  it('PERMISSION_DENIED: without platform-purge-tenants, whatever else the key holds', async () => {
    const key = await makeKey(thePool(), ['platform-manage-tenants', 'platform-view-tenants', 'manage-tenant'])
    const others = connect(theServer().address, key.key)
    for (const tenantId of [tenant.id, 'tnt_00000000000000000000000000']) {
      expect(await refusal(others.tenants.purgeTenant({ ...request, tenantId }))).toMatchObject({
        code: 'PERMISSION_DENIED',
        metadata: { permission: 'platform-purge-tenants' },
      })
    }
    others.close()
  })

  it('FAILED_PRECONDITION TENANT_NOT_DELETED: an active or suspended tenant, before anything else is looked at', async () => {
    await clients.tenants.undeleteTenant({ tenantId: tenant.id })
    const expected = { code: 'FAILED_PRECONDITION', reason: 'TENANT_NOT_DELETED' }
    expect(await refuse({ confirmSlug: 'other', etag: 'stale' })).toMatchObject(expected)
    await clients.tenants.suspendTenant({ tenantId: tenant.id, reason: 'x' })
    expect(await refuse()).toMatchObject(expected)
  })

  it('ABORTED ETAG_STALE', async () => {
    expect(await refuse({ etag: `${tenant.etag}0` })).toMatchObject({ code: 'ABORTED', reason: 'ETAG_STALE' })
  })

  it('INVALID_ARGUMENT SLUG_NOT_CONFIRMED: the slug of another, another case, or its id', async () => {
    const { slug } = await onboard(clients)
    for (const confirmSlug of [slug, tenant.slug.toUpperCase(), tenant.id, `${tenant.slug} `]) {
      const refused = await refuse({ confirmSlug })
      expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'SLUG_NOT_CONFIRMED', violations: [{ field: 'confirm_slug' }] })
    }
  })

  it('FAILED_PRECONDITION PURGE_HELD: a hold that was set before the deletion', async () => {
    await clients.tenants.undeleteTenant({ tenantId: tenant.id })
    await clients.tenants.updateTenant({ tenantId: tenant.id, purgeHold: true })
    await clients.tenants.deleteTenant({ tenantId: tenant.id })
    await deletedBefore(theSuperuser(), tenant.id, 1_000)
    expect(await refuse()).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'PURGE_HELD' })
  })

  it('FAILED_PRECONDITION PURGE_TOO_EARLY: before 72 hours have passed; when it may, is told', async () => {
    await clients.tenants.undeleteTenant({ tenantId: tenant.id })
    const { deleteTime } = await clients.tenants.deleteTenant({ tenantId: tenant.id })
    const allowed_time = new Date(deleteTime!.getTime() + 72 * 3_600_000).toISOString()
    expect(await refuse()).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'PURGE_TOO_EARLY', metadata: { allowed_time } })
    await deletedBefore(theSuperuser(), tenant.id, 71)
    expect(await refuse()).toMatchObject({ reason: 'PURGE_TOO_EARLY' })
  })

  it('INVALID_ARGUMENT: every field that breaks its rule', async () => {
    const refused = await refuse({ confirmSlug: 'ab', etag: 'e'.repeat(65), requestId: 'x' })
    expect(refused.violations.map(({ field }) => field)).toEqual(['confirm_slug', 'etag', 'request_id'])
    for (const wrong of ['', `${tenant.id}:purge`]) {
      expect((await refusal(purgeTenant({ ...request, tenantId: wrong }))).violations).toMatchObject([{ field: 'tenant_id' }])
    }
    expect((await refusal(purgeTenant({ tenantId: tenant.id }))).violations).toMatchObject([{ field: 'confirm_slug' }])
  })

  it.each([
    ['somebody reads a table of it', () => `lock table ${schemaOf(tenant.id)}.invitations in access share mode`],
    ['its schema is being migrated', () => `select pg_advisory_xact_lock(hashtextextended('${tenant.id}', 0))`],
  ])('RESOURCE_EXHAUSTED TENANT_BUSY, to be tried again: %s; whole till then, gone afterwards', async (_, lock) => {
    const { id, slug } = await onboard(clients)
    const holder = await theSuperuser().connect()
    await holder.query(`begin; ${lock()}`)
    try {
      const update = () => clients.tenants.updateTenant({ tenantId: id, displayName: 'Not held up' })
      const [refused, updated] = await Promise.all([refuse(), update()])
      expect(refused).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'TENANT_BUSY', retryAfterMs: 1000 })
      expect([updated.displayName, updated.slug]).toEqual(['Not held up', slug])
    } finally {
      await holder.query('rollback')
      holder.release()
    }
    await purgeTenant(request)
    expect(await standing()).toEqual(gone)
  })
})

it('C-076 the same request_id gives the first answer again, though the tenant is gone; with another body it is refused', async () => {
  const once = { ...request, requestId: randomUUID() }
  const first = await purgeTenant(once)
  expect(await purgeTenant({ ...once, requestId: once.requestId.toUpperCase() })).toEqual(first)
  expect(await refusal(purgeTenant({ ...once, confirmSlug: 'other' }))).toMatchObject({
    code: 'INVALID_ARGUMENT',
    reason: 'REQUEST_ID_REUSED',
  })
  const key = await makeKey(thePool(), ['platform-purge-tenants'])
  const others = connect(theServer().address, key.key)
  expect(await refusal(others.tenants.purgeTenant(once))).toMatchObject({ reason: 'TENANT_NOT_FOUND' })
  others.close()
  expect(await standing()).toEqual(gone)
})

it('C-076 the first answer is for whoever may purge now: not for a key that was revoked since', async () => {
  const key = await makeKey(thePool(), ['platform-purge-tenants'])
  const others = connect(theServer().address, key.key)
  const once = { ...request, requestId: randomUUID() }
  await others.tenants.purgeTenant(once)
  await key.revoke()
  expect(await refusal(others.tenants.purgeTenant(once))).toMatchObject({ code: 'UNAUTHENTICATED' })
  others.close()
})

it('of ten at once one purges, the rest find no tenant: one event, one entry', async () => {
  const all = await Promise.allSettled(Array.from({ length: 10 }, () => purgeTenant(request)))
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  for (const it of all) if (it.status === 'rejected') expect(it.reason).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' })
  expect(await standing()).toEqual(gone)
})

it('of a purge and an undelete at once one wins, and the other is told so', async () => {
  const [purged, undeleted] = await Promise.allSettled([purgeTenant(request), clients.tenants.undeleteTenant({ tenantId: tenant.id })])
  if (purged.status === 'fulfilled') {
    expect(undeleted).toMatchObject({ reason: { code: 'NOT_FOUND' } })
    expect(await standing()).toEqual(gone)
  } else {
    expect(purged.reason).toMatchObject({ reason: 'TENANT_NOT_DELETED' })
    expect(await standing()).toMatchObject(whole)
  }
})
