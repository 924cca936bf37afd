import { connect as connectTcp } from 'node:net'
import { status } from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { CreateTenantRequest } from '../../gen/customer/tenant/v1/tenant_service.js'
import { pathOf, services } from '../../server/contract/descriptors.js'
import { policyOf } from '../../server/contract/policies.js'
import type { AccessRow } from '../../server/db/call.js'
import type { Call } from '../../server/rpc/call.js'
import { bearer, type Fixture, type FixtureOptions, getTenantPath, outcome, startFixture, tenantId, until } from './fixture.js'

let server: Fixture
let calls: Call[] = []
const start = async (options: FixtureOptions = {}) => {
  calls = []
  const keep = async (_: unknown, call: Call) => {
    calls.push(call)
    return Tenant.create({ id: tenantId })
  }
  server = await startFixture({ ...options, tenants: { getTenant: keep, createTenant: keep, suspendTenant: keep, ...options.tenants } })
}
afterEach(() => server.stop())

const foreign = 'tnt_01jd3y5v7hfkx9m2qw8zr4tn6c'
const message = (id: string) => Buffer.concat([Buffer.from([10, id.length]), Buffer.from(id)])
const create = (fields: Partial<CreateTenantRequest> = {}) =>
  outcome((done) =>
    server.client.createTenant(
      CreateTenantRequest.fromPartial({ slug: 'acme', displayName: 'Acme', ownerEmail: 'o@acme.example', ...fields }),
      bearer(),
      done,
    ),
  )

describe('authenticate', () => {
  it('UNAUTHENTICATED, no handler: no credential, a wrong one, an odd one, one on behalf of somebody', async () => {
    await start()
    const none = bearer()
    none.remove('authorization')
    expect(await server.getTenant(none)).toMatchObject({ code: status.UNAUTHENTICATED, info: { reason: 'CREDENTIAL_MISSING' } })
    const odd = ['Basic ck_all', 'Bearer', 'Bearer  ck_all', 'Bearer ck_all, Bearer ck_all', 'Bearer x_y', `Bearer ck_${'a'.repeat(8190)}`]
    const bytes = new Set<string>()
    for (const value of ['Bearer ck_wrong', ...odd]) {
      const metadata = bearer()
      metadata.set('authorization', value)
      metadata.set('x-request-id', 'same')
      const result = await server.getTenant(metadata)
      expect(result, value).toMatchObject({ code: status.UNAUTHENTICATED, info: { reason: 'CREDENTIAL_INVALID' } })
      bytes.add(String(result.trailers?.get('grpc-status-details-bin')[0]))
    }
    expect(bytes.size).toBe(1)
    expect(server.verified()).toBe(1)
    const behalf = await server.getTenant(bearer('ck_all', { 'x-on-behalf-of': 'eyJ' }))
    expect(behalf).toMatchObject({ code: status.UNAUTHENTICATED })
    expect(calls).toEqual([])
  })

  it('UNAUTHENTICATED: two authorization headers, even twice the same', async () => {
    await start()
    await twoHeaders(server.port, 'Bearer ck_all', 'Bearer ck_all')
    await until(() => server.lines.length === 1)
    expect(server.lines).toMatchObject([{ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_MISSING' }])
    expect(calls).toEqual([])
  })

  it('no secret and no message in the log', async () => {
    await start()
    await server.getTenant(bearer('ck_all', { 'x-note': 'private' }))
    await server.getTenant(bearer('ck_wrong'))
    expect(JSON.stringify(server.lines)).not.toMatch(/ck_|private/)
    expect(Object.keys(server.lines[0]!).sort()).toEqual([
      'address',
      'code',
      'duration_ms',
      'method',
      'principal',
      'request_id',
      'tenant',
      'trace_id',
    ])
    expect(server.lines[0]).toMatchObject({ address: '127.0.0.1', principal: 'psa_all', tenant: tenantId })
  })
})

describe('address limit', () => {
  it('RESOURCE_EXHAUSTED AUTH_FAILURES with RetryInfo, before anything is verified; missing ones are not counted', async () => {
    let failures = 0
    await start({
      addressLimiter: {
        blocked: async () => (failures >= 3 ? 1500 : 0),
        failed: async () => {
          failures++
        },
      },
    })
    const none = bearer()
    none.remove('authorization')
    for (let i = 0; i < 5; i++) await server.getTenant(none)
    expect(failures).toBe(0)
    for (let i = 0; i < 3; i++) expect((await server.getTenant(bearer('ck_wrong'))).code).toBe(status.UNAUTHENTICATED)
    const verified = server.verified()
    const refused = await server.getTenant()
    expect(refused).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      info: { reason: 'AUTH_FAILURES' },
      retryInfo: { retryDelay: { seconds: 1, nanos: 5e8 } },
    })
    expect(server.verified()).toBe(verified)
  })
})

describe('authorize', () => {
  it('C-006 PERMISSION_DENIED before validation, no handler called, N of N: every RPC that asks for a permission', async () => {
    await start()
    const served = services().filter((it) => /^customer\.(tenant|event)\./.test(it.typeName))
    const methods = served.flatMap((it) => it.methods).filter((it) => policyOf(it).permissions.length > 0)
    for (const token of ['ck_none', 'ck_tenant']) {
      for (const method of methods) {
        const policy = policyOf(method)
        // The tenant's own principal holds view-tenant, and a platform's permission that a role cannot give.
        if (token === 'ck_tenant' && policy.permissions.includes('view-tenant')) continue
        const result = await server.send(pathOf(method), Buffer.alloc(0), bearer(token))
        expect(result, method.name).toMatchObject({ code: status.PERMISSION_DENIED, info: { reason: 'PERMISSION_MISSING' } })
        expect(policy.permissions).toContain(result.info?.metadata['permission'])
      }
    }
    expect(methods.length).toBeGreaterThan(10)
    expect(server.handled()).toBe(0)
  })

  it('PERMISSION_DENIED TENANT_FOREIGN, the same bytes for every other tenant, before validation', async () => {
    await start()
    const metadata = () => bearer('ck_tenant', { 'x-request-id': 'same' })
    const results = await Promise.all([foreign, 'tnt_nonsense', 'x'].map((id) => server.send(getTenantPath, message(id), metadata())))
    for (const it of results) expect(it).toMatchObject({ code: status.PERMISSION_DENIED, info: { reason: 'TENANT_FOREIGN' } })
    expect(new Set(results.map((it) => String(it.trailers?.get('grpc-status-details-bin')[0]))).size).toBe(1)
    expect(await server.send(getTenantPath, message(tenantId), metadata())).toMatchObject({ code: status.OK })
    expect(await server.send(getTenantPath, Buffer.alloc(0), metadata())).toMatchObject({ code: status.INVALID_ARGUMENT })
    expect(await server.send(getTenantPath, Buffer.from([10, 200]), metadata())).toMatchObject({ code: status.INVALID_ARGUMENT })
    expect(calls.map((it) => it.tenantId)).toEqual([tenantId])
  })

  it('judges again by what is committed', async () => {
    await start()
    await outcome((done) => server.client.suspendTenant({ tenantId, reason: 'r', etag: '', requestId: '' }, bearer(), done))
    const judged = (access: Partial<AccessRow>) => {
      const row: AccessRow = {
        now: new Date(),
        key_valid: true,
        scopes: ['*'],
        tenant_state: 'ACTIVE',
        purge_time: null,
        platform_revision: '0',
        access_revision: '0',
        session_epoch: '0',
        ...access,
      }
      try {
        calls[0]!.judge(row)
        return 'OK'
      } catch (err) {
        return (err as { reason: string }).reason
      }
    }
    expect(judged({})).toBe('OK')
    expect(judged({ scopes: ['platform-manage-tenants'] })).toBe('OK')
    expect(judged({ key_valid: false, tenant_state: null })).toBe('CREDENTIAL_INVALID')
    expect(judged({ scopes: ['platform-view-tenants'], tenant_state: null })).toBe('PERMISSION_MISSING')
    expect(judged({ tenant_state: null })).toBe('TENANT_NOT_FOUND')
    expect(judged({ tenant_state: 'SUSPENDED' })).toBe('OK')
    expect(judged({ tenant_state: 'DELETED', purge_time: new Date() })).toBe('TENANT_DELETED')
  })
})

describe('idempotency', () => {
  it('one key and hash for the same body in any order and case of its id; another for another body', async () => {
    await start()
    const requestId = '7D6F3F5E-8A50-4C0E-9D8E-5D1F0A5D9C11'
    await create({ requestId, labels: { a: '1', b: '2' } })
    await create({ requestId: requestId.toLowerCase(), labels: { b: '2', a: '1' } })
    await create({ requestId, labels: { a: '1', b: '3' } })
    await create()
    const [first, second, third, fourth] = calls.map((it) => it.claim!)
    expect(first!.requestId).toBe(requestId.toLowerCase())
    expect(first!.hash).toEqual(second!.hash)
    expect(first!.hash).not.toEqual(third!.hash)
    expect(fourth!.requestId).toMatch(/^[0-9a-f-]{36}$/)
    const answer = Tenant.create({ id: tenantId, createTime: new Date(1e12) })
    expect(first!.decode(first!.encode(answer))).toEqual(answer)
  })

  it('no claim for a read, nor for a mere check', async () => {
    await start()
    await server.getTenant()
    await create({ validateOnly: true, requestId: '7d6f3f5e-8a50-4c0e-9d8e-5d1f0a5d9c11' })
    expect(calls.map((it) => [it.claim, it.validateOnly])).toEqual([
      [undefined, false],
      [undefined, true],
    ])
  })
})

describe('deadline and trace', () => {
  it('10 s where the caller gives none, at most 30 s; its trace context if that is right', async () => {
    await start()
    const began = performance.now()
    await outcome((done) => server.client.getTenant({ tenantId }, bearer(), done))
    await server.getTenant(bearer(), 120_000)
    const right = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await server.getTenant(bearer('ck_all', { traceparent: right }), 2_000)
    for (const wrong of [
      right.toUpperCase(),
      `${right}-x`,
      right.replace('0af', 'zzz'),
      `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
      `ff${right.slice(2)}`,
    ]) {
      await server.getTenant(bearer('ck_all', { traceparent: wrong }))
    }
    const left = calls.slice(0, 3).map((it) => (it.deadline - began) / 1000)
    expect(left.map(Math.round)).toEqual([10, 30, 2])
    expect(calls[2]!.traceparent).toBe(right)
    const others = calls.slice(3).map((it) => it.traceparent)
    for (const it of others) expect(it).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
    expect(new Set(others).size).toBe(5)
  })
})

/** No client library sends a header twice: the frames are written here. */
async function twoHeaders(port: number, ...credentials: string[]) {
  const literal = (name: string, value: string) =>
    Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)])
  const headers = Buffer.concat([
    literal(':method', 'POST'),
    literal(':scheme', 'http'),
    literal(':path', getTenantPath),
    literal(':authority', 'localhost'),
    literal('content-type', 'application/grpc'),
    literal('te', 'trailers'),
    ...credentials.map((it) => literal('authorization', it)),
  ])
  const body = Buffer.concat([Buffer.from([0, 0, 0, 0, message(tenantId).length]), message(tenantId)])
  const frame = (type: number, flags: number, stream: number, payload: Buffer) =>
    Buffer.concat([Buffer.from([0, payload.length >> 8, payload.length & 0xff, type, flags, 0, 0, 0, stream]), payload])
  const socket = connectTcp(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(4, 0, 0, Buffer.alloc(0)),
      frame(1, 4, 1, headers),
      frame(0, 1, 1, body),
    ]),
  )
  await until(() => server.lines.length === 1)
  socket.destroy()
}
