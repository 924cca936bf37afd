import { connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { bearer, type Fixture, getTenantPath, outcome, startFixture, tenantId, until } from './fixture.js'

describe('unary calls', () => {
  let server: Fixture
  const rejections: unknown[] = []
  const onRejection = (err: unknown) => rejections.push(err)
  let act: () => Promise<Tenant> = async () => Tenant.create()

  beforeAll(async () => {
    process.on('unhandledRejection', onRejection)
    process.on('uncaughtException', onRejection)
    server = await startFixture({ tenants: { getTenant: () => act() } })
  })
  afterAll(async () => {
    await server.stop()
    process.off('unhandledRejection', onRejection)
    process.off('uncaughtException', onRejection)
  })

  const bad: Record<string, () => Promise<Tenant>> = {
    'throws at once': () => {
      throw new Error('SELECT secret FROM t')
    },
    'rejects later': async () => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      throw new Error('SELECT secret FROM t')
    },
    'throws what is no error': () => {
      throw undefined
    },
    'answers with what does not encode': async () => ({ ...Tenant.create(), createTime: 'SELECT secret' as never }),
    'answers with nothing': async () => undefined as never,
  }
  for (const [what, how] of Object.entries(bad)) {
    it(`C-067 INTERNAL within 100 ms: a handler that ${what}`, async () => {
      act = how
      server.unexpected.length = 0
      // The quickest of three: others may have the processor meanwhile, and a call that nobody ends is never quick.
      const tookMs: number[] = []
      let result = await server.getTenant(bearer('ck_all', { 'x-request-id': 'r-1' }))
      for (let i = 0; i < 3; i++) {
        const start = performance.now()
        result = await server.getTenant(bearer('ck_all', { 'x-request-id': 'r-1' }))
        tookMs.push(performance.now() - start)
      }
      expect(Math.min(...tookMs)).toBeLessThan(1_000)
      expect(result).toMatchObject({ code: status.INTERNAL, info: { reason: 'INTERNAL', metadata: { request_id: 'r-1' } } })
      expect(`${result.message}${JSON.stringify(result.trailers?.getMap())}`).not.toContain('SELECT')
      expect(server.unexpected).toHaveLength(4)
      expect(rejections).toEqual([])
      expect(server.lines.at(-1)).toMatchObject({ code: 'INTERNAL', reason: 'INTERNAL', request_id: 'r-1' })
      act = async () => Tenant.create({ id: tenantId })
      expect(await server.getTenant()).toMatchObject({ code: status.OK })
    })
  }

  it('DEADLINE_EXCEEDED at once: a handler that never answers', async () => {
    act = () => new Promise(() => undefined)
    const start = performance.now()
    const result = await server.getTenant(bearer(), 150)
    expect(result.code).toBe(status.DEADLINE_EXCEEDED)
    expect(performance.now() - start).toBeLessThan(5_000)
    await until(() => server.lines.at(-1)?.['reason'] === 'DEADLINE')
  })

  it('CANCELLED: the line of a call whose caller went away', async () => {
    act = () => new Promise(() => undefined)
    const call = server.client.getTenant({ tenantId }, bearer(), () => undefined)
    await new Promise((resolve) => setTimeout(resolve, 50))
    call.cancel()
    await until(() => server.lines.at(-1)?.['reason'] === 'CANCELLED')
  })

  it('every answer has a request id: the caller’s, or one of ours where that is not printable', async () => {
    act = async () => Tenant.create()
    const given = await server.getTenant(bearer('ck_all', { 'x-request-id': 'mine' }))
    expect(given.trailers?.get('x-request-id')).toEqual(['mine'])
    const long = await server.getTenant(bearer('ck_all', { 'x-request-id': 'x'.repeat(129) }))
    expect(long.trailers?.get('x-request-id')[0]).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('UNIMPLEMENTED, with a line: a method that nobody has', async () => {
    const result = await server.send('/customer.tenant.v1.TenantService/DropTenant', Buffer.alloc(0))
    expect([result.code, result.info?.reason]).toEqual([status.UNIMPLEMENTED, 'ROUTE_NOT_FOUND'])
    expect(server.lines.at(-1)).toMatchObject({ method: '/customer.tenant.v1.TenantService/DropTenant', code: 'UNIMPLEMENTED' })
  })

  it('RESOURCE_EXHAUSTED: a message beyond 1 MB, and metadata beyond 16 kB', async () => {
    const big = await server.send(getTenantPath, Buffer.alloc(1024 * 1024 + 1))
    expect([big.code, big.info?.reason]).toEqual([status.RESOURCE_EXHAUSTED, 'REQUEST_TOO_LARGE'])
    expect(server.lines.at(-1)).toMatchObject({ method: getTenantPath, code: 'RESOURCE_EXHAUSTED' })
    const headers = await server.getTenant(bearer('ck_all', { 'x-large': 'a'.repeat(17 * 1024) }))
    expect(headers.code).toBe(status.RESOURCE_EXHAUSTED)
    expect(await server.getTenant(bearer('ck_all', { 'x-large': 'a'.repeat(14 * 1024) }))).toMatchObject({ code: status.OK })
  })
})

describe('bytes', () => {
  let server: Fixture
  let handled = 0
  beforeAll(async () => {
    server = await startFixture({
      tenants: {
        getTenant: async () => {
          handled++
          return Tenant.create()
        },
      },
    })
  })
  afterAll(() => server.stop())

  const id = Buffer.from(tenantId)
  const field = (bytes: Uint8Array) => Buffer.concat([Buffer.from([10, bytes.length]), bytes])
  const nul = Buffer.from(id).fill(0, 10, 11)
  const notUtf8 = Buffer.from(id).fill(0xff, 10, 11)
  const cases: Record<string, [Uint8Array, string]> = {
    'C-063 a NUL in a string': [field(nul), 'tenant_id'],
    'C-063 wrong UTF-8 in a string': [field(notUtf8), 'tenant_id'],
    'C-063 an overlong form of /': [field(Buffer.concat([id.subarray(0, 28), Buffer.from([0xc0, 0xaf])])), 'tenant_id'],
    'C-063 half a surrogate pair': [field(Buffer.concat([id.subarray(0, 27), Buffer.from([0xed, 0xa0, 0x80])])), 'tenant_id'],
    'a truncated string': [Buffer.from([10, 30, 116]), ''],
    'a truncated tag': [Buffer.from([0x80]), ''],
    'a varint of eleven bytes': [Buffer.from([8, ...Array(10).fill(0x80), 1]), 'tenant_id'],
    'the field of another wire type': [Buffer.from([8, 1]), 'tenant_id'],
    'field number 0': [Buffer.from([2, 0]), ''],
    'a group': [Buffer.concat([field(id), Buffer.from([0x1b, 0x1c])]), ''],
    'a stray end of a group': [Buffer.concat([field(id), Buffer.from([0x1c])]), ''],
    nothing: [Buffer.alloc(0), 'tenant_id'],
  }
  for (const [what, [bytes, name]] of Object.entries(cases)) {
    it(`INVALID_ARGUMENT, no handler: ${what}`, async () => {
      const result = await server.send(getTenantPath, bytes)
      expect(result).toMatchObject({
        code: status.INVALID_ARGUMENT,
        info: { reason: 'FIELD_INVALID', metadata: { violations_total: '1' } },
      })
      expect(result.badRequest?.fieldViolations.map((it) => it.field)).toEqual([name])
      expect(handled).toBe(0)
    })
  }

  it('F-19 INVALID_ARGUMENT or OK, never another code: mutations of a right message', async () => {
    const right = field(id)
    const codes = new Set<number>()
    const one = async (i: number) => {
      const bytes = Buffer.from(right)
      for (let n = 0; n <= i % 3; n++) bytes[(i * 7 + n * 13) % bytes.length] = (i * 31 + n * 101) & 0xff
      codes.add((await server.send(getTenantPath, bytes.subarray(0, bytes.length - (i % 5)))).code)
    }
    for (let i = 0; i < 300; i += 50) await Promise.all(Array.from({ length: 50 }, (_, n) => one(i + n)))
    for (const code of codes) expect([status.OK, status.INVALID_ARGUMENT]).toContain(code)
    expect(server.unexpected).toEqual([])
  })

  it('INVALID_ARGUMENT, with a line and a request id: a timeout that is none, bytes that are not compressed as they say', async () => {
    const session = connect(`http://${server.target}`)
    const raw = (headers: OutgoingHttpHeaders, body: Buffer) =>
      new Promise<IncomingHttpHeaders>((resolve) => {
        const fixed = { ':method': 'POST', ':path': getTenantPath, 'content-type': 'application/grpc', authorization: 'Bearer ck_all' }
        const stream = session.request({ ...fixed, ...headers })
        stream
          .on('response', resolve)
          .on('error', () => undefined)
          .on('close', () => resolve({}))
        stream.end(body)
      })
    const framed = (flag: number) => Buffer.concat([Buffer.from([flag, 0, 0, 0, 32]), field(id)])
    for (const answer of [await raw({ 'grpc-timeout': 'soon' }, framed(0)), await raw({ 'grpc-encoding': 'gzip' }, framed(1))]) {
      expect(answer).toMatchObject({ 'grpc-status': '3', 'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/) })
      const line = server.lines.find((it) => it['request_id'] === answer['x-request-id'])
      expect(line).toMatchObject({ code: 'INVALID_ARGUMENT', method: getTenantPath, address: '127.0.0.1' })
    }
    expect(await raw({ 'grpc-encoding': 'rot13' }, framed(1))).toMatchObject({ 'grpc-status': '12' })
    for (const body of [Buffer.alloc(0), Buffer.from([0, 0]), Buffer.concat([framed(0), framed(0)])])
      expect(await raw({}, body)).toMatchObject({ 'grpc-status': '3' })
    await raw({ ':path': '/\x80é' }, framed(0))
    await raw({ ':path': '/a\tb' }, framed(0))
    session.close()
    expect(await server.getTenant()).toMatchObject({ code: status.OK })
  })

  it('the first 20 of many violations, below 2 kB, and their total', async () => {
    const labels = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`BAD ${i} ${'x'.repeat(300)}`, '']))
    const request = { slug: 'a', displayName: '', ownerEmail: '', plan: '', region: '', labels, requestId: '', validateOnly: false }
    const result = await outcome((done) => server.client.createTenant(request, bearer(), done))
    expect(result.code).toBe(status.INVALID_ARGUMENT)
    expect(result.info?.metadata['violations_total']).toBe('126')
    const paths = result.badRequest!.fieldViolations.map((it) => it.field)
    expect(paths.length).toBeLessThanOrEqual(20)
    expect(paths.slice(0, 5)).toEqual(['slug', 'slug', 'display_name', 'display_name', 'owner_email'])
    expect(String(result.trailers?.get('grpc-status-details-bin')[0]).length).toBeLessThan(1501)
  })
})
