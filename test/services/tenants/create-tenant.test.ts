import { randomUUID } from 'node:crypto'
import { afterAll, expect, it } from 'vitest'
import { TenantState } from '../../../gen/customer/tenant/v1/tenant.js'
import { connect } from '../../support/client.js'
import { makeKey } from '../../support/keys.js'
import { refusal } from '../../support/refusal.js'
import { newSlug, onboard, theClients, thePool, theServer, theSuperuser } from '../../support/rpc.js'
import { expectedPayload } from '../../support/tenant-payload.js'
import { keptOf, schemaOf, writingNothing } from '../../support/written.js'

const clients = theClients()
const { tenants } = clients
afterAll(() => clients.close())

const rows = async (text: string, values: unknown[] = []) => (await theSuperuser().query(text, values)).rows
const isKnown = async (slug: string) => (await rows('select from platform.tenants where slug = $1', [slug])).length > 0
const schemas = async (like: string) => rows('select nspname from pg_catalog.pg_namespace where nspname = $1', [like])

it('OK: the tenant is ACTIVE, with the first plan and region', async () => {
  const slug = newSlug()
  const tenant = await onboard(clients, { slug, displayName: ' Acme  ' })
  expect(tenant).toMatchObject({
    slug,
    state: TenantState.TENANT_STATE_ACTIVE,
    plan: 'standard',
    region: 'default',
    displayName: ' Acme  ',
    etag: '1',
    accessRevision: '0',
    labels: {},
    purgeHold: false,
  })
  expect(tenant.id).toMatch(/^tnt_[0-9a-z]{26}$/)
  expect(tenant.createTime).toEqual(tenant.updateTime)
  expect([tenant.suspendTime, tenant.deleteTime, tenant.purgeTime]).toEqual([undefined, undefined, undefined])
  expect(await tenants.getTenant({ tenantId: tenant.id })).toEqual(tenant)
})

it('OK: a schema, tenant.created and invitation.created, and the first entry of its trail with the actor’s account and key', async () => {
  const key = await makeKey(thePool(), ['platform-manage-tenants'])
  const others = connect(theServer().address, key.key, { 'x-request-id': 'create-1' })
  const tenant = await onboard(others, { labels: { tier: 'gold' }, contacts: { billingEmail: 'b@acme.example' }, plan: 'enterprise' })
  others.close()
  expect(await schemas(schemaOf(tenant.id))).toHaveLength(1)
  const { events, audit } = await keptOf(tenant.id)
  const actor = { type: 'platform-service-account', id: key.accountId }
  const [created, invited] = events
  expect(events.map(({ type, correlation_id }) => [type, correlation_id])).toEqual([
    ['com.enterprise.customer.tenant.created.v1', 'create-1'],
    ['com.enterprise.customer.invitation.created.v1', 'create-1'],
  ])
  expect(created!.data).toEqual({ ...expectedPayload(tenant, created!.data), actor })
  const [invitation] = await rows(`select * from ${schemaOf(tenant.id)}.invitations`)
  expect(invited!.subject).toBe(`invitations/${invitation.id}`)
  expect(invited!.data).toMatchObject({ invitation_id: invitation.id, role_keys: ['tenant-admin'], owner: true, actor })
  expect(audit.map(({ entry }) => entry)).toMatchObject([
    {
      action: 'tenant.create',
      tenant_id: tenant.id,
      request_id: 'create-1',
      actor: { ...actor, key_id: key.keyId },
      target: `invitations/${invitation.id}`,
    },
  ])
})

it('OK: the ADR’s three roles', async () => {
  const { id } = await onboard(clients)
  const roles = await rows(`select key, permissions, system from ${schemaOf(id)}.roles order by key`)
  expect(roles).toEqual([
    { key: 'member', system: true, permissions: ['view-analytics', 'view-tenant', 'view-users'] },
    {
      key: 'tenant-admin',
      system: true,
      permissions: [
        ...['manage-users', 'manage-billing', 'view-analytics', 'view-tenant', 'manage-tenant', 'view-users', 'manage-roles'],
        ...['manage-api-keys', 'view-audit', 'manage-privacy', 'check-permissions'],
      ],
    },
    { key: 'viewer', system: true, permissions: ['view-analytics', 'view-tenant'] },
  ])
})

it('OK: the owner is invited as tenant-admin at the canonical address, without a secret yet; no event or entry names the address', async () => {
  const { id } = await onboard(clients, { ownerEmail: ' Öwner.Ａ@BÜCHER.Example\t' })
  const invitations = await rows(`select * from ${schemaOf(id)}.invitations`)
  expect(invitations).toMatchObject([
    {
      email: 'öwner.a@xn--bcher-kva.example',
      role_keys: ['tenant-admin'],
      owner: true,
      secret_hash: null,
      accept_time: null,
      revoke_time: null,
    },
  ])
  expect(invitations[0].expire_time.getTime()).toBeGreaterThan(invitations[0].create_time.getTime())
  const { events, audit } = await keptOf(id)
  expect(JSON.stringify([events, audit])).not.toMatch(/öwner|bcher|xn--/i)
})

it('OK: contacts in canonical form; an empty one is none', async () => {
  const tenant = await onboard(clients, { contacts: { billingEmail: ' Bill@ACME.Example ', securityEmail: '' } })
  expect(tenant.contacts).toEqual({ billingEmail: 'bill@acme.example', securityEmail: undefined })
})

it('OK: 64 labels, and texts at their bounds', async () => {
  const labels = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`l${i}`, '😀'.repeat(256)]))
  const slug = newSlug('a').padEnd(63, 'z')
  const displayName = '😀'.repeat(200)
  expect(await onboard(clients, { slug, displayName, labels })).toMatchObject({ slug, displayName, labels })
})

it('C-076 the same answer again for the same request_id, once made; labels in any order, the tenant changed or deleted since', async () => {
  const request = { slug: newSlug(), requestId: randomUUID(), labels: { a: '1', b: '2' } }
  const first = await onboard(clients, request)
  await tenants.deleteTenant({ tenantId: first.id })
  expect(await writingNothing(first.id, () => onboard(clients, { ...request, labels: { b: '2', a: '1' } }))).toEqual(first)
})

it('INVALID_ARGUMENT REQUEST_ID_REUSED: with another body, which makes nothing', async () => {
  const requestId = randomUUID()
  await onboard(clients, { requestId })
  const slug = newSlug()
  expect(await refusal(onboard(clients, { slug, requestId }))).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'REQUEST_ID_REUSED' })
  expect(await isKnown(slug)).toBe(false)
})

it('a refused request_id is free again: only successes are kept', async () => {
  const { slug } = await onboard(clients)
  const requestId = randomUUID()
  expect(await refusal(onboard(clients, { slug, requestId }))).toMatchObject({ reason: 'SLUG_TAKEN' })
  expect((await onboard(clients, { slug: newSlug(), requestId })).etag).toBe('1')
})

it('OK: validate_only writes nothing, burns neither slug nor request_id, and answers without id and etag', async () => {
  const request = { slug: newSlug(), requestId: randomUUID(), labels: { a: '1' } }
  const answer = await onboard(clients, { ...request, validateOnly: true })
  expect(answer).toMatchObject({ id: '', etag: '', slug: request.slug, state: TenantState.TENANT_STATE_ACTIVE, plan: 'standard' })
  expect(await isKnown(request.slug)).toBe(false)
  expect(await rows('select from platform.idempotency_keys where request_id = $1', [request.requestId])).toEqual([])
  expect((await onboard(clients, request)).slug).toBe(request.slug)
})

it('validate_only answers a wrong slug, plan or permission as the call itself would', async () => {
  const { slug } = await onboard(clients)
  const check = (more: object) => refusal(onboard(clients, { ...more, validateOnly: true }))
  expect(await check({ slug })).toMatchObject({ reason: 'SLUG_TAKEN' })
  expect(await check({ plan: 'gold' })).toMatchObject({ reason: 'OPTION_UNKNOWN' })
  expect(await check({ slug: 'No' })).toMatchObject({ reason: 'FIELD_INVALID' })
})
