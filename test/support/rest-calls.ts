import { randomUUID } from 'node:crypto'
import type { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { deletedBefore } from './purged.js'
import { rawHttp } from './raw-http.js'
import { newSlug, theClients, theServer, theSuperuser } from './rpc.js'

/** `EDGE_URL=http://kong:8000` runs all of this against a real Kong in front of the same server; what only development refuses is then left to Kong. */
export const edgeUrl = process.env['EDGE_URL']
export const url = new URL(edgeUrl ?? theServer().httpUrl)
const { key } = theServer()
const clients = theClients()

export interface Asked {
  readonly path: string
  readonly body?: unknown
}
export interface Told {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  // biome-ignore lint/suspicious/noExplicitAny: what REST answers is what is tested
  readonly json: any
}

export async function ask(method: string, { path, body }: Asked, headers: Record<string, string> = {}): Promise<Told> {
  const credential = 'authorization' in headers ? {} : { authorization: `Bearer ${key}` }
  const given = Object.entries({ ...credential, ...headers }).filter(([, value]) => value !== '')
  const bytes = body === undefined ? undefined : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const answer = await rawHttp({
    host: url.hostname,
    port: Number(url.port || 80),
    method,
    path,
    headers: Object.fromEntries(given),
    ...(bytes ? { body: bytes } : {}),
  })
  return { ...answer, json: answer.body.length === 0 ? undefined : JSON.parse(answer.body.toString()) }
}

export const rest = (it: Tenant) => `/v1/tenants/${it.id}`
const account = () =>
  clients.platformAccounts.createPlatformServiceAccount({ displayName: 'Tool', permissions: ['view-tenant'], requestId: randomUUID() })
const restOf = ({ id }: { id: string }) => `/v1/platform/serviceAccounts/${id}`
const keyOf = ({ id }: { id: string }) => ({ platform_service_account_id: id, display_name: 'CI', scopes: ['view-tenant'] })
/** A right call of every RPC that REST reaches; whoever adds one adds it here. */
export const right: Record<string, (tenant: Tenant) => Asked | Promise<Asked>> = {
  CreateTenant: () => ({
    path: '/v1/tenants',
    body: { slug: newSlug(), display_name: 'Acme', owner_email: 'owner@acme.example', labels: { tier: 'gold' } },
  }),
  GetTenant: (it) => ({ path: rest(it) }),
  ListTenants: () => ({ path: '/v1/tenants?page_size=1&state=TENANT_STATE_ACTIVE&after_create_time=2026-01-01T00:00:00Z' }),
  ResolveTenant: (it) => ({ path: `/v1/tenants:resolve?slug=${it.slug}` }),
  UpdateTenant: (it) => ({ path: rest(it), body: { display_name: 'Acme New', labels: { team: 'x' } } }),
  SuspendTenant: (it) => ({ path: `${rest(it)}:suspend`, body: { reason: 'unpaid' } }),
  ResumeTenant: (it) => ({ path: `${rest(it)}:resume`, body: {} }),
  DeleteTenant: (it) => ({ path: `${rest(it)}?etag=${encodeURIComponent(it.etag)}` }),
  UndeleteTenant: (it) => ({ path: `${rest(it)}:undelete`, body: {} }),
  BatchGetTenants: (it) => ({ path: '/v1/tenants:batchGet', body: { tenant_ids: [it.id] } }),
  PurgeTenant: async (it) => {
    await clients.tenants.deleteTenant({ tenantId: it.id, requestId: randomUUID() })
    await deletedBefore(theSuperuser(), it.id, 73)
    return { path: `${rest(it)}:purge`, body: { confirm_slug: it.slug } }
  },
  GetTenantSettings: (it) => ({ path: `${rest(it)}/settings` }),
  UpdateTenantSettings: (it) => ({ path: `${rest(it)}/settings`, body: { mfa: { required: true }, password: { min_length: 8 } } }),
  ListEventTypes: () => ({ path: '/v1/eventTypes' }),
  GetEventType: () => ({ path: '/v1/eventTypes/com.enterprise.customer.tenant.created.v1' }),
  CreatePlatformServiceAccount: () => ({
    path: '/v1/platform/serviceAccounts',
    body: { display_name: 'Tool', permissions: ['view-tenant'] },
  }),
  GetPlatformServiceAccount: async () => ({ path: restOf(await account()) }),
  ListPlatformServiceAccounts: () => ({ path: '/v1/platform/serviceAccounts?page_size=1' }),
  UpdatePlatformServiceAccount: async () => ({ path: restOf(await account()), body: { display_name: 'Other' } }),
  SuspendPlatformServiceAccount: async () => ({ path: `${restOf(await account())}:suspend`, body: {} }),
  ResumePlatformServiceAccount: async () => ({ path: `${restOf(await account())}:resume`, body: {} }),
  DeletePlatformServiceAccount: async () => ({ path: restOf(await account()) }),
  CreatePlatformApiKey: async () => ({ path: '/v1/platform/apiKeys', body: keyOf(await account()) }),
  ListPlatformApiKeys: () => ({ path: '/v1/platform/apiKeys?page_size=1' }),
  RevokePlatformApiKey: async () => {
    const { json } = await ask('POST', { path: '/v1/platform/apiKeys', body: keyOf(await account()) })
    return { path: `/v1/platform/apiKeys/${json.id}` }
  },
  ReplayEvents: (it) => ({ path: `${rest(it)}/events:replay`, body: { after_sequence: '0' } }),
  GetDeliveryStatus: () => ({ path: '/v1/platform/deliveryStatus' }),
  ListDeadLetters: () => ({ path: '/v1/platform/deadLetters?page_size=1' }),
  RedriveDeadLetters: (it) => ({ path: '/v1/platform/deadLetters:redrive', body: { tenant_id: it.id } }),
  ListEvents: (it) => ({ path: `${rest(it)}/events?after_sequence=0` }),
}
