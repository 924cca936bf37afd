import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import { EventServiceClient, EventServiceService } from '../../gen/customer/event/v1/event_service.js'
import { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { GetTenantRequest, TenantServiceClient, TenantServiceService } from '../../gen/customer/tenant/v1/tenant_service.js'
import { BadRequest, ErrorInfo, RetryInfo } from '../../gen/google/rpc/error_details.js'
import { Status } from '../../gen/google/rpc/status.js'
import { makeRingKey, openRing, parseRingKeys } from '../../server/keys/ring.js'
import type { AddressLimiter } from '../../server/rpc/address-limit.layer.js'
import type { Principal } from '../../server/rpc/call.js'
import { openCalls } from '../../server/rpc/drain.layer.js'
import type { GatewayProof } from '../../server/rpc/gateway.js'
import { type Handlers, implement } from '../../server/rpc/kernel.js'
import { buildLayers } from '../../server/rpc/layers.js'
import type { CallFields } from '../../server/rpc/log.layer.js'
import type { RateLimits } from '../../server/rpc/rate-limit.layer.js'
import { createRpcServer, type RpcLimits } from '../../server/rpc/server.js'

export type TenantHandlers = Handlers<typeof TenantServiceService>
export type EventHandlers = Handlers<typeof EventServiceService>

export const tenantId = 'tnt_01jd3y5v7hfkx9m2qw8zr4tn6b'
export const getTenantPath = TenantServiceService.getTenant.path

/** Principals by their token. */
const principals: Record<string, Principal> = {
  ck_all: { id: 'psa_all', type: 'platform-service-account', keyId: 'pky_all', tenantId: '', scopes: ['*'] },
  ck_none: { id: 'psa_none', type: 'platform-service-account', keyId: 'pky_none', tenantId: '', scopes: [] },
  ck_view: { id: 'psa_view', type: 'platform-service-account', keyId: 'pky_view', tenantId: '', scopes: ['platform-view-tenants'] },
  ck_tenant: {
    id: 'sva_t',
    type: 'platform-service-account',
    keyId: 'key_t',
    tenantId,
    scopes: ['view-tenant', 'platform-manage-tenants'],
  },
}

export interface FixtureOptions {
  readonly tenants?: Partial<TenantHandlers>
  readonly events?: Partial<EventHandlers>
  readonly limits?: Partial<RpcLimits>
  readonly addressLimiter?: AddressLimiter
  readonly streamsMax?: number
  readonly gateways?: GatewayProof
  readonly rateLimits?: RateLimits
}

const tenant = Tenant.fromPartial({ id: tenantId, slug: 'acme' })
const free: AddressLimiter = { blocked: async () => 0, failed: async () => undefined }

/** A server on a free port with the real layers before handlers of the test's own; what is not given answers with one tenant. */
export async function startFixture(options: FixtureOptions = {}) {
  const lines: CallFields[] = []
  const unexpected: unknown[] = []
  let verified = 0
  const calls = openCalls()
  const layers = buildLayers({
    log: (fields) => lines.push(fields),
    unexpected: (err) => unexpected.push(err),
    calls,
    addressLimiter: options.addressLimiter ?? free,
    verifiers: [
      {
        prefix: 'ck_',
        verify: async (token) => {
          verified++
          return principals[token]
        },
      },
    ],
    rateLimits: options.rateLimits ?? (async () => ({ allowed: true, limit: 100, remaining: 99, resetMs: 60_000 })),
    ring: openRing(parseRingKeys(makeRingKey())),
    streamsMax: options.streamsMax ?? 5,
  })
  const answer = async () => tenant
  const nothing = async () => {
    throw new Error('not in this test')
  }
  const tenants: TenantHandlers = {
    createTenant: answer,
    getTenant: answer,
    batchGetTenants: async () => ({ tenants: [tenant] }),
    listTenants: async () => ({ tenants: [tenant], nextPageToken: '' }),
    resolveTenant: answer,
    updateTenant: answer,
    suspendTenant: answer,
    resumeTenant: answer,
    deleteTenant: answer,
    undeleteTenant: answer,
    purgeTenant: async () => ({ purgeTime: undefined }),
    getTenantSettings: nothing,
    updateTenantSettings: nothing,
    ...options.tenants,
  }
  const events: EventHandlers = {
    listEventTypes: nothing,
    getEventType: nothing,
    listEvents: nothing,
    watchEvents: nothing,
    replayEvents: nothing,
    getDeliveryStatus: nothing,
    listDeadLetters: nothing,
    redriveDeadLetters: nothing,
    ...options.events,
  }
  let handled = 0
  const spied = <H extends object>(handlers: H): H =>
    Object.fromEntries(
      Object.entries(handlers).map(([name, handler]) => [
        name,
        (...args: unknown[]) => {
          handled++
          return handler(...args)
        },
      ]),
    ) as H
  const server = createRpcServer({
    services: [implement(TenantServiceService, spied(tenants), layers), implement(EventServiceService, spied(events), layers)],
    calls,
    log: (fields) => lines.push(fields),
    limits: options.limits,
    ...(options.gateways ? { gateways: options.gateways } : {}),
  })
  const { port } = await server.bind(['127.0.0.1'], 0)
  const target = `127.0.0.1:${port}`
  const insecure = credentials.createInsecure()
  const channel = { 'grpc.enable_http_proxy': 0 }
  const client = new TenantServiceClient(target, insecure, channel)
  const eventClient = new EventServiceClient(target, insecure, channel)
  const raw = new Client(target, insecure, channel)
  return {
    port,
    target,
    server,
    client,
    eventClient,
    lines,
    unexpected,
    verified: () => verified,
    /** How many calls have reached a handler. */
    handled: () => handled,
    /** Sends bytes to a unary RPC as they are. */
    send: (path: string, bytes: Uint8Array, metadata = bearer()) =>
      outcome((done) =>
        raw.makeUnaryRequest(path, Buffer.from, (it: Buffer) => it, bytes, metadata, { deadline: Date.now() + 5000 }, done),
      ),
    getTenant: (metadata = bearer(), deadlineMs = 5000) =>
      outcome((done) => client.getTenant(GetTenantRequest.create({ tenantId }), metadata, { deadline: Date.now() + deadlineMs }, done)),
    async stop() {
      client.close()
      eventClient.close()
      raw.close()
      await server.drain({ pauseMs: 0, graceMs: 0 })
    },
  }
}
export type Fixture = Awaited<ReturnType<typeof startFixture>>

/** Metadata with a credential, and whatever else. */
export function bearer(token = 'ck_all', others: Readonly<Record<string, string>> = {}): Metadata {
  const metadata = new Metadata()
  metadata.set('authorization', `Bearer ${token}`)
  for (const [key, value] of Object.entries(others)) metadata.set(key, value)
  return metadata
}

/** How a call ended: its answer, or its code and details. */
export interface Outcome<S> {
  readonly code: number
  readonly message: string
  readonly answer: S | undefined
  readonly info: ErrorInfo | undefined
  readonly badRequest: BadRequest | undefined
  readonly retryInfo: RetryInfo | undefined
  readonly trailers: Metadata | undefined
}

interface Emits {
  on(event: 'status', listener: (status: { metadata: Metadata }) => void): unknown
}

export function outcome<S>(call: (done: (err: ServiceError | null, answer?: S) => void) => Emits): Promise<Outcome<S>> {
  return new Promise((resolve) => {
    let result: Omit<Outcome<S>, 'trailers'> | undefined
    let trailers: Metadata | undefined
    const both = () => result && trailers && resolve({ ...result, trailers })
    const emitter = call((err, answer) => {
      result = err ? { answer: undefined, ...failure(err) } : { ...none, code: 0, message: '', answer }
      both()
    })
    emitter.on('status', (status) => {
      trailers = status.metadata
      both()
    })
  })
}

const none = { info: undefined, badRequest: undefined, retryInfo: undefined }

/** Code and details of a failed call. */
export function failure(err: ServiceError) {
  const bytes = err.metadata.get('grpc-status-details-bin')[0]
  const { details } = bytes === undefined ? { details: [] } : Status.decode(bytes as Buffer)
  const find = <T>(type: { $type: string; decode(bytes: Uint8Array): T }) => {
    const found = details.find((it) => it.typeUrl === `type.googleapis.com/${type.$type}`)
    return found && type.decode(found.value)
  }
  return { code: err.code, message: err.details, info: find(ErrorInfo), badRequest: find(BadRequest), retryInfo: find(RetryInfo) }
}

/** Waits for something to hold, looking every few milliseconds. */
export async function until(holds: () => boolean, timeoutMs = 3000): Promise<void> {
  const end = Date.now() + timeoutMs
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
