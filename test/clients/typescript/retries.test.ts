import { status } from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type ClientOptions, createClient } from '../../../clients/typescript/src/index.js'
import { EventServiceService } from '../../../gen/customer/event/v1/event_service.js'
import { PlatformAccountServiceService } from '../../../gen/customer/platform/v1/platform_account_service.js'
import { PlatformServiceService } from '../../../gen/customer/platform/v1/platform_service.js'
import { TenantServiceService } from '../../../gen/customer/tenant/v1/tenant_service.js'
import { methodDesc } from '../../../server/contract/descriptors.js'
import { mutates, policyOf } from '../../../server/contract/policies.js'
import { startTcpProxy } from '../../support/tcp-proxy.js'
import { failure, startScriptedServer } from './scripted-server.js'
import { always, apiKey, failed, failing, setUp, tenant, tenantId, uuid } from './set-up.js'

const create = { slug: 'acme', displayName: 'Acme Ltd', ownerEmail: 'owner@acme.example' }

describe('retries', () => {
  it('UNAVAILABLE twice, then OK: a mutation keeps its request_id, made by itself', async () => {
    const { client, seen } = await setUp({ createTenant: failing(failure('UNAVAILABLE', 'SHUTTING_DOWN'), failure('UNAVAILABLE')) })
    expect(await client.tenants.createTenant(create)).toEqual(tenant)
    expect(seen).toHaveLength(3)
    expect(seen[0]!.request['requestId']).toMatch(uuid)
    expect(new Set(seen.map(({ request }) => request['requestId']))).toHaveLength(1)
    expect(new Set(seen.map(({ metadata }) => metadata.get('x-request-id')[0]))).toHaveLength(1)
    await client.tenants.createTenant(create)
    expect(seen[3]!.request['requestId']).not.toBe(seen[0]!.request['requestId'])
  })

  it('an answer that was lost with its connection: the same request_id again', async () => {
    const server = await startScriptedServer({
      // The first is carried out, but its answer never arrives.
      createTenant: async (_, nth) => {
        if (nth > 1) return tenant
        wire.resetAll()
        await new Promise(() => {})
      },
    })
    const wire = await startTcpProxy({ port: server.port })
    const client = createClient({ address: `${wire.host}:${wire.port}`, apiKey })
    onTestFinished(() => {
      client.close()
      void wire.stop()
      server.stop()
    })
    expect(await client.tenants.createTenant(create)).toEqual(tenant)
    expect(server.seen).toHaveLength(2)
    expect(server.seen[1]!.request).toEqual(server.seen[0]!.request)
  })

  it('a server that is shut down under the call', async () => {
    const first = await startScriptedServer({ getTenant: () => new Promise(() => {}) })
    const client = createClient({ address: first.address, apiKey })
    const answer = client.tenants.getTenant({ tenantId })
    await expect.poll(() => first.seen.length).toBe(1)
    first.stop()
    const second = await startScriptedServer({ getTenant: () => tenant }, { port: first.port })
    onTestFinished(() => {
      client.close()
      second.stop()
    })
    expect(await answer).toEqual(tenant)
  })

  it("the caller's own request_id is kept", async () => {
    const requestId = '0190f3c5-7b1e-7cc3-9a2b-0123456789ab'
    const { client, seen } = await setUp({ deleteTenant: failing(failure('UNAVAILABLE')) })
    await client.tenants.deleteTenant({ tenantId, requestId })
    expect(seen.map(({ request }) => request['requestId'])).toEqual([requestId, requestId])
  })

  it.each([
    ['UNAVAILABLE', failure('UNAVAILABLE', 'DEPENDENCY_DOWN')],
    ['ABORTED CONFLICT', failure('ABORTED', 'CONFLICT')],
    ['RESOURCE_EXHAUSTED with RetryInfo', failure('RESOURCE_EXHAUSTED', 'TENANT_BUSY', { retryAfterMs: 10 })],
  ])('four attempts, then the error: %s', async (_, error) => {
    const { client, seen } = await setUp({ getTenant: always(error) })
    expect((await failed(client.tenants.getTenant({ tenantId }))).code).toBe(status[error.code])
    expect(seen).toHaveLength(4)
  })

  it.each([
    failure('ABORTED', 'ETAG_STALE'),
    failure('RESOURCE_EXHAUSTED', 'TOO_MANY_STREAMS'),
    failure('DEADLINE_EXCEEDED', 'DEADLINE'),
    failure('INTERNAL', 'INTERNAL'),
    failure('UNKNOWN'),
    failure('CANCELLED', 'CANCELLED'),
    failure('UNAUTHENTICATED', 'CREDENTIAL_INVALID'),
    failure('PERMISSION_DENIED', 'PERMISSION_MISSING'),
    failure('NOT_FOUND', 'TENANT_NOT_FOUND'),
    failure('ALREADY_EXISTS', 'SLUG_TAKEN'),
    failure('FAILED_PRECONDITION', 'TENANT_DELETED'),
    failure('INVALID_ARGUMENT', 'REQUEST_ID_REUSED'),
    failure('OUT_OF_RANGE', 'CURSOR_AHEAD'),
  ])('never: $code', async (error) => {
    const { client, seen } = await setUp({ getTenant: always(error), suspendTenant: always(error) })
    await failed(client.tenants.getTenant({ tenantId }))
    await failed(client.tenants.suspendTenant({ tenantId, reason: 'x' }))
    expect(seen).toHaveLength(2)
  })

  it('RetryInfo is waited out', async () => {
    const { client, seen } = await setUp({
      getTenant: failing(failure('RESOURCE_EXHAUSTED', 'TENANT_BUSY', { retryAfterMs: 1_200 })),
    })
    await client.tenants.getTenant({ tenantId })
    expect(seen[1]!.at - seen[0]!.at).toBeGreaterThan(1_190)
    expect(seen[1]!.at - seen[0]!.at).toBeLessThan(1_200 + 250 + 4_000)
  })

  it('a RetryInfo beyond the deadline is told at once', async () => {
    const { client, seen } = await setUp({
      getTenant: always(failure('RESOURCE_EXHAUSTED', 'AUTH_FAILURES', { retryAfterMs: 60_000 })),
    })
    const startedAt = performance.now()
    expect(await failed(client.tenants.getTenant({ tenantId }))).toMatchObject({ code: 'RESOURCE_EXHAUSTED', retryAfterMs: 60_000 })
    expect(performance.now() - startedAt).toBeLessThan(4_000)
    expect(seen).toHaveLength(1)
  })

  it('the deadline is one for all attempts, and the service knows it', async () => {
    const { client, seen } = await setUp({
      getTenant: (_, nth) => new Promise((_resolve, reject) => setTimeout(reject, nth < 2 ? 300 : 30_000, failure('UNAVAILABLE')).unref()),
    })
    const startedAt = performance.now()
    const error = await failed(client.tenants.getTenant({ tenantId }, { timeoutMs: 1_000 }))
    const tookMs = performance.now() - startedAt
    expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED', reason: undefined })
    expect(tookMs).toBeGreaterThan(950)
    expect(tookMs).toBeLessThan(4_000)
    expect(seen).toHaveLength(2)
    const deadlines = seen.map(({ call }) => Number(call.getDeadline()))
    expect(Math.abs(deadlines[0]! - deadlines[1]!)).toBeLessThan(1_000)
  })

  it('10 s where none is given; timeoutMs of the client and of the call', async () => {
    const inMs = async (options: Partial<ClientOptions>, timeoutMs?: number) => {
      const { client, seen } = await setUp({ getTenant: () => tenant }, options)
      await client.tenants.getTenant({ tenantId }, { timeoutMs })
      return Number(seen[0]!.call.getDeadline()) - Date.now()
    }
    expect(Math.abs((await inMs({})) - 10_000)).toBeLessThan(1_500)
    expect(Math.abs((await inMs({ timeoutMs: 4_000 })) - 4_000)).toBeLessThan(1_500)
    expect(Math.abs((await inMs({ timeoutMs: 4_000 }, 2_000)) - 2_000)).toBeLessThan(1_500)
    expect(() => createClient({ address: 'localhost:1', apiKey, timeoutMs: 0 })).toThrow(TypeError)
  })

  it('every RPC with a request_id gets one; every one without it changes nothing', async () => {
    const services = {
      tenants: TenantServiceService,
      events: EventServiceService,
      platform: PlatformServiceService,
      platformAccounts: PlatformAccountServiceService,
    }
    const names = Object.values(services).flatMap((service) => Object.keys(service))
    const unavailable = always(failure('UNAVAILABLE'))
    const { client, seen } = await setUp({
      ...Object.fromEntries(names.map((rpc) => [rpc, unavailable])),
      watchEvents: (call) => void call.emit('error', failure('UNAVAILABLE')),
    })
    const calls = Object.entries(services).flatMap(([face, service]) =>
      Object.entries(service).map(async ([rpc, definition]) => {
        const method = methodDesc(definition.path)
        const bound = (client as unknown as Record<string, Record<string, (request: object) => unknown>>)[face]![rpc]!
        const answer = bound({})
        await failed(answer instanceof Promise ? answer : firstOf(answer as AsyncIterable<unknown>))
        const requests = seen.filter((entry) => entry.rpc === rpc).map(({ request }) => request)
        expect(requests, rpc).toHaveLength(4)
        if (method.input.fields.some((field) => field.name === 'request_id')) expect(requests[0]!['requestId'], rpc).toMatch(uuid)
        else expect(mutates(policyOf(method)), rpc).toBe(false)
      }),
    )
    await Promise.all(calls)
    expect(calls).toHaveLength(names.length)
  })
})

const firstOf = async (items: AsyncIterable<unknown>) => {
  for await (const item of items) return item
}
