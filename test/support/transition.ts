import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Tenant, TenantState } from '../../gen/customer/tenant/v1/tenant.js'
import { connect } from './client.js'
import { makeKey } from './keys.js'
import { refusal } from './refusal.js'
import { onboard, theClients, thePool, theServer } from './rpc.js'
import { expectedPayload } from './tenant-payload.js'
import { writingNothing, writtenBy } from './written.js'

type Rpc = 'suspendTenant' | 'resumeTenant' | 'deleteTenant' | 'undeleteTenant'

export interface Transition {
  readonly rpc: Rpc
  /** Brings a tenant into the state that it starts from; may be called in any. */
  readonly from: (tenantId: string) => Promise<unknown>
  readonly state: TenantState
  readonly event: string
  readonly action: string
  /** Fields of the request beside the ids; `reason` where there is one. */
  readonly more?: { readonly reason: string }
  readonly whileDeleted: boolean
}

const unknown = 'tnt_00000000000000000000000000'

/** What holds for each of the RPCs that move a tenant from one state to another; in a tenant of its own. */
export function describeTransition({ rpc, from, state, event, action, more, whileDeleted }: Transition): void {
  const clients = theClients()
  const call = (request: object, headers?: Record<string, string>) => clients.tenants[rpc]({ ...more, ...request }, headers)
  let tenantId: string
  let tenant: Tenant
  const start = async () => {
    await from(tenantId)
    tenant = await clients.tenants.getTenant({ tenantId })
  }
  beforeAll(async () => {
    const made = { labels: { tier: 'gold' }, contacts: { billingEmail: 'billing@acme.example' } }
    tenantId = (await onboard(clients, made)).id
  })
  afterAll(() => clients.close())

  describe(`every transition: ${rpc}`, () => {
    it('OK: the state, the next etag, a higher access_revision; one event and one entry', async () => {
      await start()
      const { answer, events, audit } = await writtenBy(tenantId, () => call({ tenantId, etag: tenant.etag }, { 'x-request-id': 'call-1' }))
      expect(answer).toMatchObject({ state, etag: String(Number(tenant.etag) + 1) })
      expect(answer.accessRevision).toBe(String(Number(tenant.accessRevision) + 1))
      expect(answer.updateTime!.getTime()).toBeGreaterThan(tenant.updateTime!.getTime())
      expect(await clients.tenants.getTenant({ tenantId })).toEqual(answer)
      expect(events).toMatchObject([{ type: `com.enterprise.customer.${event}.v1`, subject: '', correlation_id: 'call-1' }])
      expect(events[0]!.data).toEqual(expectedPayload(answer, events[0]!.data))
      expect(events[0]!.data['actor']).toMatchObject({ type: 'platform-service-account' })
      expect(audit.map(({ entry }) => entry)).toMatchObject([
        { action, tenant_id: tenantId, request_id: 'call-1', actor: events[0]!.data['actor'], ...more },
      ])
    })

    it('OK, writing nothing: the state holds already, whatever the etag and the reason', async () => {
      await start()
      const answer = await call({ tenantId })
      const again = await writingNothing(tenantId, () => call({ tenantId, etag: 'stale', ...(more && { reason: 'another' }) }))
      expect(again).toEqual(answer)
    })

    it('ABORTED: a stale etag, writing nothing; the right one passes', async () => {
      await start()
      expect(await writingNothing(tenantId, () => refusal(call({ tenantId, etag: `${tenant.etag}0` })))).toMatchObject({
        code: 'ABORTED',
        reason: 'ETAG_STALE',
      })
      expect((await call({ tenantId, etag: tenant.etag })).state).toBe(state)
    })

    it('checks permission, then existence, then state, then the etag', async () => {
      const viewer = await makeKey(thePool(), ['platform-view-tenants', 'manage-tenant', 'view-tenant'])
      const viewing = connect(theServer().address, viewer.key)
      expect(await refusal(viewing.tenants[rpc]({ ...more, tenantId: unknown, etag: 'x' }))).toMatchObject({
        code: 'PERMISSION_DENIED',
        reason: 'PERMISSION_MISSING',
        metadata: { permission: 'platform-manage-tenants' },
      })
      viewing.close()
      expect(await refusal(call({ tenantId: unknown, etag: 'x' }))).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' })
      if (whileDeleted) return
      const { purgeTime } = await clients.tenants.deleteTenant({ tenantId })
      expect(await writingNothing(tenantId, () => refusal(call({ tenantId, etag: 'x' })))).toMatchObject({
        code: 'FAILED_PRECONDITION',
        reason: 'TENANT_DELETED',
        metadata: { purge_time: purgeTime!.toISOString() },
      })
      await clients.tenants.undeleteTenant({ tenantId })
    })

    it('C-076 the same request_id gives the first answer again, also when the state has moved on, and writes nothing', async () => {
      await start()
      const request = { tenantId, etag: tenant.etag, requestId: randomUUID() }
      const first = await call(request)
      expect(await writingNothing(tenantId, () => call({ ...request, requestId: request.requestId.toUpperCase() }))).toEqual(first)
      await from(tenantId)
      expect(await writingNothing(tenantId, () => call(request))).toEqual(first)
    })

    it('one effect of five calls at once with one request_id', async () => {
      await start()
      const request = { tenantId, requestId: randomUUID() }
      const { answer, events, audit } = await writtenBy(tenantId, () => Promise.all([1, 2, 3, 4, 5].map(() => call(request))))
      expect(new Set(answer.map((it) => JSON.stringify(it))).size).toBe(1)
      expect([events.length, audit.length]).toEqual([1, 1])
    })

    it('INVALID_ARGUMENT REQUEST_ID_REUSED: with another body or tenant; another caller or RPC may use the same', async () => {
      await start()
      const requestId = randomUUID()
      await call({ tenantId, requestId })
      const other = await onboard(clients)
      for (const change of [{ etag: tenant.etag }, { tenantId: other.id }]) {
        const refused = await writingNothing(other.id, () => refusal(call({ tenantId, requestId, ...change })))
        expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'REQUEST_ID_REUSED' })
      }
      const key = await makeKey(thePool(), ['platform-manage-tenants'])
      const others = connect(theServer().address, key.key)
      expect((await others.tenants[rpc]({ ...more, tenantId, requestId, etag: 'x' })).state).toBe(state)
      others.close()
      expect((await clients.tenants.updateTenant({ tenantId: other.id, requestId, displayName: 'Other' })).displayName).toBe('Other')
    })

    it('INVALID_ARGUMENT: every field that breaks its rule, writing nothing', async () => {
      await start()
      const bad = { etag: 'e'.repeat(65), requestId: 'no-uuid', ...(more && { reason: 'r'.repeat(501) }) }
      const refused = await writingNothing(tenantId, () => refusal(call({ tenantId, ...bad })))
      expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' })
      expect(refused.violations.map(({ field }) => field)).toEqual([...(more ? ['reason'] : []), 'etag', 'request_id'])
      for (const wrong of ['', 'tnt_X', `${tenantId}:purge`, tenantId.toUpperCase()]) {
        expect((await refusal(call({ tenantId: wrong }))).violations).toMatchObject([{ field: 'tenant_id' }])
      }
    })
  })
}
