import { execFile } from 'node:child_process'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer } from 'node:net'
import { promisify } from 'node:util'
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { openCalls } from '../../server/rpc/drain.layer.js'
import { createRpcServer } from '../../server/rpc/server.js'
import { bearer, type Fixture, startFixture, tenantId, until } from './fixture.js'

let server: Fixture | undefined
afterEach(async () => {
  await server?.stop()
  server = undefined
})

const run = promisify(execFile)
const asIs = (bytes: Buffer) => bytes
const names = (service: string) => Buffer.concat([Buffer.from([10, service.length]), Buffer.from(service)])

describe('health', () => {
  const check = (client: Client, service: string) =>
    new Promise<number>((resolve) =>
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        asIs,
        asIs,
        service === '' ? Buffer.alloc(0) : names(service),
        (err, answer) => resolve(err ? -(err as ServiceError).code : answer![1]!),
      ),
    )

  it('SERVING for the whole and per service, NOT_SERVING from the drain’s first moment, NOT_FOUND for others; Watch tells', async () => {
    server = await startFixture()
    const client = new Client(server.target, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 })
    expect(await check(client, '')).toBe(1)
    expect(await check(client, 'customer.tenant.v1.TenantService')).toBe(1)
    expect(await check(client, 'customer.no.v1.Service')).toBe(-status.NOT_FOUND)
    const seen: number[] = []
    let ended: ServiceError | undefined
    const watch = client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', asIs, asIs, Buffer.alloc(0))
    watch.on('data', (bytes: Buffer) => seen.push(bytes[1]!))
    watch.on('error', (err: ServiceError) => {
      ended = err
    })
    await until(() => seen.length === 1)
    server.server.setServing(false)
    await until(() => seen.length === 2)
    server.server.setServing(true)
    await until(() => seen.length === 3)
    const drained = server.server.drain({ pauseMs: 300, graceMs: 1000 })
    await until(() => seen.length === 4)
    expect(seen).toEqual([1, 2, 1, 2])
    expect(await check(client, '')).toBe(2)
    expect(await server.getTenant()).toMatchObject({ code: status.OK })
    await drained
    expect(ended?.code).toBe(status.UNAVAILABLE)
    client.close()
  })
})

describe('reflection', () => {
  const curl = (path: string, data: string, ...more: string[]) =>
    run('node_modules/.bin/buf', [
      'curl',
      '--protocol',
      'grpc',
      '--http2-prior-knowledge',
      '-H',
      'authorization: Bearer ck_all',
      ...more,
      '-d',
      data,
      `http://${server!.target}/${path}`,
    ]).catch((err: { stdout: string; stderr: string }) => err)

  it('a foreign client calls without knowing the contract, and reads the details of a failure', async () => {
    server = await startFixture()
    const answer = await curl('customer.tenant.v1.TenantService/GetTenant', JSON.stringify({ tenant_id: tenantId }))
    expect(JSON.parse(answer.stdout)).toEqual({ id: tenantId, slug: 'acme' })
    const refused = await curl('customer.tenant.v1.TenantService/GetTenant', '{}')
    expect(refused.stderr).toContain('"code": "invalid_argument"')
    const old = await curl(
      'customer.tenant.v1.TenantService/GetTenant',
      `{"tenant_id":"${tenantId}"}`,
      '--reflect-protocol',
      'grpc-v1alpha',
    )
    expect(JSON.parse(old.stdout)).toMatchObject({ id: tenantId })
    const listed = await run('node_modules/.bin/buf', [
      'curl',
      '--protocol',
      'grpc',
      '--http2-prior-knowledge',
      '--list-services',
      `http://${server.target}`,
    ])
    expect(listed.stdout.trim().split('\n')).toContain('customer.event.v1.EventService')
  }, 30_000)
})

it('a reflection stream that is held open does not hold up the drain', async () => {
  server = await startFixture()
  const client = new Client(server.target, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 })
  const asIs = (bytes: Buffer) => bytes
  const stream = client.makeBidiStreamRequest('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', asIs, asIs)
  const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve))
  const answered = new Promise((resolve) => stream.once('data', resolve))
  stream.write(Buffer.from([58, 0]))
  await answered
  await server.server.drain({ pauseMs: 0, graceMs: 60_000 })
  expect(await ended).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('shutting down') })
  client.close()
})

describe('bind', () => {
  const bare = () => createRpcServer({ services: [], calls: openCalls(), log: () => undefined })

  it('one port for all hosts; a host that the machine lacks is told, not fatal', async () => {
    const it = bare()
    const bound = await it.bind(['127.0.0.1', '127.0.0.2', '203.0.113.9'], 0)
    expect(bound).toMatchObject({ hosts: ['127.0.0.1', '127.0.0.2'], missing: ['203.0.113.9'] })
    expect(bound.port).toBeGreaterThan(0)
    await it.drain({ pauseMs: 0, graceMs: 0 })
  })

  it('a port in use is named, and the other hosts are let go', async () => {
    const other = createServer().listen(0, '127.0.0.2')
    await until(() => other.listening)
    const { port } = other.address() as { port: number }
    const it = bare()
    await expect(it.bind(['127.0.0.1', '127.0.0.2'], port)).rejects.toThrow(`GRPC_PORT ${port} on 127.0.0.2 is in use`)
    const again = createServer().listen(port, '127.0.0.1')
    await until(() => again.listening)
    again.close()
    other.close()
    await it.drain({ pauseMs: 0, graceMs: 0 })
  })
})

describe('connections', () => {
  it('a silent socket, and one without calls, are closed', async () => {
    server = await startFixture({ limits: { keepaliveMs: 100, keepaliveTimeoutMs: 100 } })
    const silent = connect(server.port, '127.0.0.1').resume()
    let closed = false
    silent.on('close', () => {
      closed = true
    })
    silent.on('error', () => undefined)
    await until(() => closed)
    await server.stop()

    server = await startFixture({ limits: { idleMs: 100 } })
    const idle = connectHttp2(`http://${server.target}`)
    let left = false
    idle.on('goaway', () => {
      left = true
    })
    await until(() => left)
    idle.close()
  })

  it('a connection more than there may be is closed at once; the others go on', async () => {
    server = await startFixture({ limits: { connectionsMax: 2 } })
    const [host, port] = server.target.split(':')
    const open = [1, 2].map(() => connect(Number(port), host))
    await Promise.all(open.map((socket) => new Promise((resolve) => socket.once('data', resolve))))
    const third = connect(Number(port), host)
    await new Promise((resolve) => third.once('close', resolve))
    expect(open.map((socket) => socket.destroyed)).toEqual([false, false])
    for (const socket of open) socket.destroy()
  })

  it('a call whose message never ends is ended, though its own deadline was answered', async () => {
    server = await startFixture({ limits: { arrivalMs: 300 } })
    const session = connectHttp2(`http://${server.target}`)
    const stream = session.request({
      ':method': 'POST',
      ':path': '/customer.platform.v1.PlatformService/GetServerInfo',
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': '50m',
    })
    stream.on('error', () => {})
    stream.resume()
    stream.write(Buffer.from([0, 0, 0, 0, 9]))
    await new Promise((resolve) => stream.once('close', resolve))
    session.destroy()
  })

  it('a connection of age is asked to go, and its calls finish', async () => {
    server = await startFixture({ limits: { ageMs: 100 } })
    const old = connectHttp2(`http://${server.target}`)
    let left = false
    old.on('goaway', () => {
      left = true
    })
    await until(() => left)
    old.close()
    expect(await server.getTenant()).toMatchObject({ code: status.OK })
  })

  it('one stream more than a connection may have waits for its turn', async () => {
    let open = 0
    let most = 0
    const held: (() => void)[] = []
    server = await startFixture({
      limits: { streamsMax: 10 },
      tenants: {
        getTenant: async () => {
          most = Math.max(most, ++open)
          await new Promise<void>((resolve) => held.push(resolve))
          open--
          return Tenant.create()
        },
      },
    })
    const all = Array.from({ length: 12 }, () => server!.getTenant(bearer()))
    await until(() => held.length === 10)
    while (held.length > 0 || open > 0) {
      held.shift()?.()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect((await Promise.all(all)).map((it) => it.code)).toEqual(Array(12).fill(status.OK))
    expect(most).toBe(10)
  })
})
