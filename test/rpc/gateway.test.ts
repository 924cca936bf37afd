import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bearer, type Fixture, getTenantPath, startFixture } from './fixture.js'

const secret = 'a-secret-of-the-gateway-0123456789abcdef'
let server: Fixture
beforeAll(async () => {
  server = await startFixture({ gateways: { secrets: ['another-one-0123456789abcdef-0123456789', secret] } })
})
afterAll(() => server.stop())

const addressOfCall = async (headers: Record<string, string>) => {
  server.lines.length = 0
  const answer = await server.getTenant(bearer('ck_all', headers))
  return [answer.code, server.lines[0]?.['address']]
}

describe('the address of a caller', () => {
  it.each([
    ['a gateway of ours names it, last', { 'x-gateway-secret': secret, 'x-forwarded-for': '1.2.3.4, 198.51.100.7' }, '198.51.100.7'],
    [
      'with what it settled itself, past a balancer',
      { 'x-gateway-secret': secret, 'x-real-ip': '198.51.100.7', 'x-forwarded-for': '198.51.100.7, 10.0.0.5' },
      '198.51.100.7',
    ],
    ['IPv6', { 'x-gateway-secret': secret, 'x-forwarded-for': '2001:db8::1' }, '2001:db8::1'],
    ['IPv4 in its IPv6 dress', { 'x-gateway-secret': secret, 'x-forwarded-for': '::ffff:198.51.100.7' }, '198.51.100.7'],
    ['a gateway that names none', { 'x-gateway-secret': secret }, '127.0.0.1'],
    ['C-069 nobody else is believed', { 'x-forwarded-for': '198.51.100.7', 'x-real-ip': '198.51.100.7' }, '127.0.0.1'],
    ['C-069 with a secret that is wrong', { 'x-gateway-secret': `${secret}x`, 'x-forwarded-for': '198.51.100.7' }, '127.0.0.1'],
    ['C-069 nor who claims to have been let in', { 'x-via-gateway': '1', 'x-forwarded-for': '198.51.100.7' }, '127.0.0.1'],
  ])('%s', async (_, headers, address) => expect(await addressOfCall(headers)).toEqual([0, address]))

  it('what grpc-js refuses by itself has it too', async () => {
    server.lines.length = 0
    const metadata = bearer('ck_all', { 'x-gateway-secret': secret, 'x-forwarded-for': '198.51.100.7' })
    await server.send('/customer.tenant.v1.TenantService/Nothing', new Uint8Array(), metadata)
    expect(server.lines[0]).toMatchObject({ code: 'UNIMPLEMENTED', address: '198.51.100.7' })
  })
})

describe('details of an error', () => {
  const tenantPath = getTenantPath
  const wrong = (headers: Record<string, string>) => server.send(tenantPath, new Uint8Array(), bearer('ck_all', headers))
  const both = (trailers: { get(name: string): unknown[] } | undefined) =>
    ['grpc-status-details-bin', 'x-error-details-bin'].map((name) => trailers?.get(name).length)

  it('are JSON for a gateway of ours, and that alone: all trailers have to fit into one block there', async () => {
    const { trailers, code } = await wrong({ 'x-gateway-secret': secret })
    expect([code, both(trailers)]).toEqual([3, [0, 1]])
    expect(JSON.parse(String(trailers?.get('x-error-details-bin')[0]))).toEqual([
      {
        '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
        reason: 'FIELD_INVALID',
        domain: 'customer-management',
        metadata: { violations_total: '1' },
      },
      { '@type': 'type.googleapis.com/google.rpc.BadRequest', field_violations: [{ field: 'tenant_id', description: expect.any(String) }] },
    ])
  })

  it('are google.rpc.Status for everybody else', async () => {
    expect(both((await wrong({})).trailers)).toEqual([1, 0])
    expect(both((await wrong({ 'x-via-gateway': '1' })).trailers)).toEqual([1, 0])
  })

  it('stay below 2 kB, however much is wrong', async () => {
    const labels = Array.from({ length: 64 }, (_, i) => [`Bad key ${i} ${'x'.repeat(90)}`, ''])
    const entry = (key: string) => [10, key.length, ...Buffer.from(key)]
    const bytes = labels.flatMap(([key]) => [34, entry(key!).length, ...entry(key!)])
    const { trailers } = await server.send(
      '/customer.tenant.v1.TenantService/UpdateTenant',
      Uint8Array.from(bytes),
      bearer('ck_all', { 'x-gateway-secret': secret }),
    )
    const json = String(trailers?.get('x-error-details-bin')[0])
    expect(Buffer.from(json).toString('base64').length).toBeLessThan(2_048)
    expect((JSON.parse(json) as unknown[]).length).toBe(2)
  })
})
