import { randomUUID } from 'node:crypto'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { TenantSettings } from '../../../gen/customer/tenant/v1/tenant_settings.js'
import { connect } from '../../support/client.js'
import { makeKey } from '../../support/keys.js'
import { refusal } from '../../support/refusal.js'
import { onboard, theClients, thePool, theServer, theSuperuser } from '../../support/rpc.js'
import { schemaOf, writingNothing, writtenBy } from '../../support/written.js'

const clients = theClients()
const { getTenantSettings, updateTenantSettings } = clients.tenants
let tenantId: string
let settings: TenantSettings
beforeEach(async () => {
  tenantId = (await onboard(clients)).id
  settings = await getTenantSettings({ tenantId })
})
afterAll(() => clients.close())

const days = 86_400_000
const event = 'com.enterprise.customer.tenant.settings-updated.v1'

it('OK: what is named is set, in nested messages too, the rest stays; the next etag; one event and one entry', async () => {
  const request = { tenantId, session: { idleSeconds: 3_600 }, etag: settings.etag }
  const { answer, events, audit } = await writtenBy(tenantId, () => updateTenantSettings(request, { 'x-request-id': 'settings-1' }))
  expect(answer).toEqual({
    ...settings,
    session: { ...settings.session, idleSeconds: 3_600 },
    etag: '2',
    updateTime: expect.any(Date),
  })
  expect(await getTenantSettings({ tenantId })).toEqual(answer)
  expect(events).toMatchObject([{ type: event, subject: '', correlation_id: 'settings-1' }])
  expect(events[0]!.data).toEqual({
    tenant_id: tenantId,
    password_min_length: 15,
    session_idle_seconds: 3_600,
    session_absolute_seconds: 2_592_000,
    mfa_required: false,
    retention_audit_days: 365,
    retention_audit_days_in_force: 365,
    changed_fields: ['session.idle_seconds'],
    actor: { type: 'platform-service-account', id: expect.stringMatching(/^psa_/) },
  })
  expect(audit.map(({ entry }) => entry)).toMatchObject([
    {
      action: 'tenant.update-settings',
      request_id: 'settings-1',
      changed_fields: ['session.idle_seconds'],
      actor: events[0]!.data['actor'],
    },
  ])
})

it("OK: every setting at once; the tenant's own etag and revision of rights stay", async () => {
  const tenant = await clients.tenants.getTenant({ tenantId })
  const wanted = {
    password: { minLength: 8 },
    session: { idleSeconds: 300, absoluteSeconds: 3_600 },
    mfa: { required: true },
    retention: { auditDays: 3_650 },
  }
  const { answer, events } = await writtenBy(tenantId, () => updateTenantSettings({ tenantId, ...wanted }))
  expect(answer).toMatchObject({ ...wanted, retention: { auditDays: 3_650, auditDaysInForce: 3_650, effectiveTime: undefined } })
  expect(events[0]!.data['changed_fields']).toEqual([
    'password.min_length',
    'session.idle_seconds',
    'session.absolute_seconds',
    'mfa.required',
    'retention.audit_days',
  ])
  expect(await clients.tenants.getTenant({ tenantId })).toEqual(tenant)
})

it('OK, writing nothing: what is named is so already, also where it is the default; what is output only is not looked at', async () => {
  for (const more of [
    { password: { minLength: 15 } },
    { session: { idleSeconds: 86_400 }, mfa: { required: false }, etag: settings.etag },
    { ...settings, retention: { auditDays: 365, auditDaysInForce: 700, effectiveTime: new Date() } },
  ]) {
    expect(await writingNothing(tenantId, () => updateTenantSettings({ tenantId, ...more }))).toEqual(settings)
  }
})

it('INVALID_ARGUMENT UPDATE_EMPTY: no field is named, also in messages that are, or one of output only, writing nothing', async () => {
  for (const more of [
    {},
    { password: {}, session: {}, mfa: {}, retention: {} },
    { retention: { effectiveTime: new Date() } },
    { etag: settings.etag, requestId: randomUUID() },
  ]) {
    const refused = await writingNothing(tenantId, () => refusal(updateTenantSettings({ tenantId, ...(more as object) })))
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'UPDATE_EMPTY' })
  }
})

describe('the floors of the platform', () => {
  it('INVALID_ARGUMENT: every value beyond its bounds, by name, writing nothing', async () => {
    const refuse = async (more: object) => {
      const refused = await writingNothing(tenantId, () => refusal(updateTenantSettings({ tenantId, ...more })))
      expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' })
      return refused.violations.map(({ field }) => field)
    }
    const fields = ['password.min_length', 'session.idle_seconds', 'session.absolute_seconds', 'retention.audit_days']
    const low = { password: { minLength: 7 }, session: { idleSeconds: 299, absoluteSeconds: 3_599 }, retention: { auditDays: 364 } }
    const high = {
      password: { minLength: 65 },
      session: { idleSeconds: 2_592_001, absoluteSeconds: 2_592_001 },
      retention: { auditDays: 3_651 },
    }
    expect(await refuse(low)).toEqual(fields)
    expect(await refuse(high)).toEqual(fields)
    expect(await refuse({ mfa: { required: true }, etag: 'e'.repeat(65), requestId: 'x' })).toEqual(['etag', 'request_id'])
  })

  it('passwords below 15 characters go with mfa.required, before and after: each of the two is refused by name, writing nothing', async () => {
    const refuse = async (more: object) =>
      (await writingNothing(tenantId, () => refusal(updateTenantSettings({ tenantId, ...more })))).violations
    const description = 'passwords of less than 15 characters go with mfa.required'
    expect(await refuse({ password: { minLength: 14 } })).toMatchObject([{ field: 'password.min_length', description }])
    expect(await refuse({ password: { minLength: 14 }, mfa: { required: false } })).toMatchObject([{ field: 'password.min_length' }])
    await updateTenantSettings({ tenantId, mfa: { required: true } })
    expect((await updateTenantSettings({ tenantId, password: { minLength: 8 } })).password).toEqual({ minLength: 8 })
    expect(await refuse({ mfa: { required: false } })).toMatchObject([{ field: 'mfa.required', description }])
    const both = await updateTenantSettings({ tenantId, mfa: { required: false }, password: { minLength: 20 } })
    expect(both).toMatchObject({ mfa: { required: false }, password: { minLength: 20 } })
  })

  it('a session’s idle time is at most its absolute one, after merging; two rules at once are told at once', async () => {
    const refused = await refusal(updateTenantSettings({ tenantId, session: { absoluteSeconds: 3_600 }, password: { minLength: 8 } }))
    expect(refused).toMatchObject({ reason: 'FIELD_INVALID', metadata: { violations_total: '2' } })
    expect(refused.violations.map(({ field }) => field)).toEqual(['password.min_length', 'session.absolute_seconds'])
    const equal = await updateTenantSettings({ tenantId, session: { idleSeconds: 3_600, absoluteSeconds: 3_600 } })
    expect(equal.session).toEqual({ idleSeconds: 3_600, absoluteSeconds: 3_600 })
    const longer = await refusal(updateTenantSettings({ tenantId, session: { idleSeconds: 3_601 } }))
    expect(longer.violations.map(({ field }) => field)).toEqual(['session.idle_seconds'])
  })
})

describe('retention of the trail', () => {
  const set = (auditDays: number) => updateTenantSettings({ tenantId, retention: { auditDays } })

  it('a longer one at once, a shorter one 30 days later; both are shown meanwhile', async () => {
    expect((await set(800)).retention).toEqual({ auditDays: 800, auditDaysInForce: 800, effectiveTime: undefined })
    const { answer, events } = await writtenBy(tenantId, () => set(400))
    expect(answer.retention).toEqual({
      auditDays: 400,
      auditDaysInForce: 800,
      effectiveTime: new Date(answer.updateTime!.getTime() + 30 * days),
    })
    expect(await getTenantSettings({ tenantId })).toEqual(answer)
    expect(events[0]!.data).toMatchObject({
      retention_audit_days: 400,
      retention_audit_days_in_force: 800,
      retention_effective_time: answer.retention!.effectiveTime!.toISOString(),
    })
  })

  it('while one waits: the same again changes nothing, another shorter one waits anew, what is in force already cancels it', async () => {
    await set(800)
    const first = await set(400)
    expect(await writingNothing(tenantId, () => set(400))).toEqual(first)
    const second = await set(500)
    expect(second.retention).toMatchObject({ auditDays: 500, auditDaysInForce: 800 })
    expect(second.retention!.effectiveTime!.getTime()).toBeGreaterThan(first.retention!.effectiveTime!.getTime())
    const other = await updateTenantSettings({ tenantId, mfa: { required: true } })
    expect(other.retention).toEqual(second.retention)
    expect((await set(800)).retention).toEqual({ auditDays: 800, auditDaysInForce: 800, effectiveTime: undefined })
  })

  it('when its time has come it is in force, without a write; the next shorter one counts from there', async () => {
    await set(800)
    const waiting = await set(400)
    await theSuperuser().query(`update ${schemaOf(tenantId)}.tenant_state set retention_effective_time = now()`)
    const come = await writingNothing(tenantId, () => getTenantSettings({ tenantId }))
    expect(come).toEqual({ ...waiting, retention: { auditDays: 400, auditDaysInForce: 400, effectiveTime: undefined } })
    expect((await set(700)).retention).toMatchObject({ auditDays: 700, auditDaysInForce: 700, effectiveTime: undefined })
    expect((await set(365)).retention).toMatchObject({ auditDays: 365, auditDaysInForce: 700 })
  })
})

it('checks permission, then existence, then state, then the etag', async () => {
  const viewer = await makeKey(thePool(), ['view-tenant', 'platform-view-tenants'])
  const viewing = connect(theServer().address, viewer.key)
  const request = { tenantId, mfa: { required: true }, etag: 'stale' }
  expect(await refusal(viewing.tenants.updateTenantSettings(request))).toMatchObject({
    code: 'PERMISSION_DENIED',
    reason: 'PERMISSION_MISSING',
  })
  viewing.close()
  const unknown = 'tnt_00000000000000000000000000'
  expect(await refusal(updateTenantSettings({ ...request, tenantId: unknown }))).toMatchObject({ reason: 'TENANT_NOT_FOUND' })
  await clients.tenants.deleteTenant({ tenantId })
  const deleted = await writingNothing(tenantId, () => refusal(updateTenantSettings(request)))
  expect(deleted).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'TENANT_DELETED' })
  await clients.tenants.undeleteTenant({ tenantId })
  for (const mfa of [{ required: true }, { required: false }]) {
    const stale = await writingNothing(tenantId, () => refusal(updateTenantSettings({ ...request, mfa })))
    expect(stale).toMatchObject({ code: 'ABORTED', reason: 'ETAG_STALE' })
  }
})

it.each([['manage-tenant'], ['platform-manage-tenants']])('OK: with %s alone, every setting, also of a suspended tenant', async (scope) => {
  const key = await makeKey(thePool(), [scope])
  const managing = connect(theServer().address, key.key)
  await clients.tenants.suspendTenant({ tenantId, reason: 'x' })
  expect((await managing.tenants.updateTenantSettings({ tenantId, retention: { auditDays: 400 } })).retention?.auditDays).toBe(400)
  managing.close()
})

describe('two at once', () => {
  it('a short password and the end of mfa.required: never both, whoever comes first', async () => {
    for (let round = 0; round < 10; round++) {
      await updateTenantSettings({ tenantId, mfa: { required: true }, password: { minLength: 15 } })
      const both = await Promise.allSettled([
        updateTenantSettings({ tenantId, password: { minLength: 8 } }),
        updateTenantSettings({ tenantId, mfa: { required: false } }),
      ])
      expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const it of both) if (it.status === 'rejected') expect(it.reason).toMatchObject({ reason: 'FIELD_INVALID' })
      const now = await getTenantSettings({ tenantId })
      expect(now.password!.minLength! >= 15 || now.mfa!.required).toBe(true)
    }
  })

  it('of ten under one etag, one passes', async () => {
    const { answer, events } = await writtenBy(tenantId, () =>
      Promise.allSettled(
        Array.from({ length: 10 }, (_, nth) =>
          updateTenantSettings({ tenantId, session: { idleSeconds: 1_000 + nth }, etag: settings.etag }),
        ),
      ),
    )
    expect(answer.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const it of answer) if (it.status === 'rejected') expect(it.reason).toMatchObject({ code: 'ABORTED', reason: 'ETAG_STALE' })
    expect(events).toHaveLength(1)
  })

  it('beside moves of the tenant’s state, which write the same row behind the counter: all succeed', async () => {
    const { answer } = await writtenBy(tenantId, () =>
      Promise.all(
        Array.from({ length: 12 }, (_, nth) => {
          if (nth % 3 === 0) return updateTenantSettings({ tenantId, session: { idleSeconds: 1_000 + nth } })
          return nth % 3 === 1 ? clients.tenants.suspendTenant({ tenantId, reason: 'x' }) : clients.tenants.resumeTenant({ tenantId })
        }),
      ),
    )
    expect(answer).toHaveLength(12)
  })
})

it('C-076 the same request_id gives the first answer again, also when the settings have moved on; another body is refused', async () => {
  const request = { tenantId, mfa: { required: true }, requestId: randomUUID(), etag: settings.etag }
  const first = await updateTenantSettings(request)
  await updateTenantSettings({ tenantId, mfa: { required: false } })
  expect(await writingNothing(tenantId, () => updateTenantSettings(request))).toEqual(first)
  for (const change of [{ mfa: { required: false } }, { mfa: {} }, { password: { minLength: 15 } }]) {
    const refused = await writingNothing(tenantId, () => refusal(updateTenantSettings({ ...request, ...change })))
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'REQUEST_ID_REUSED' })
  }
})
