import { connect as netConnect } from 'node:net'
import { create, toBinary } from '@bufbuild/protobuf'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { messageDesc, services } from '../../server/contract/descriptors.js'
import { type HttpPort, openHttp } from '../../server/edge/http.js'
import { createRest } from '../../server/edge/rest.js'
import { openUpstream, type Upstream } from '../../server/edge/upstream.js'
import { startScriptedUpstream } from '../support/scripted-upstream.js'
import { until as eventually } from '../support/until.js'

const path = '/v1/tenants/tnt_01jd3y5v7hfkx9m2qw8zr4tn6b'
const tenant = messageDesc('customer.tenant.v1.Tenant')
const answer = { message: toBinary(tenant, create(tenant, { id: 'tnt_1' } as Record<string, unknown>)), trailers: { 'grpc-status': '0' } }

const until = (holds: () => boolean) => eventually(holds, { timeoutMs: 5_000 })

let upstream: Awaited<ReturnType<typeof startScriptedUpstream>>
let wire: Upstream
let port: HttpPort
const ready = async () => ({ ok: true, checks: {} })
beforeEach(async () => {
  upstream = await startScriptedUpstream()
  wire = openUpstream({ origin: upstream.origin, readTimeoutMs: 1_000 })
  const rest = createRest({ services: services(), upstream: wire, gatewaySecret: 's3cret' })
  port = await openHttp({ hosts: ['127.0.0.1', '::1'], port: 0, ready, rest })
  upstream.answers(answer)
})
afterEach(async () => {
  await port.stop()
  wire.stop()
  await upstream.stop()
})
const get = (init?: RequestInit, host = '127.0.0.1') => fetch(`http://${host}:${port.port}${path}`, init)

it('one connection takes many requests, over IPv4 and IPv6', async () => {
  const socket = netConnect({ host: port.hosts.includes('::1') ? '::1' : '127.0.0.1', port: port.port })
  let got = ''
  socket.on('data', (chunk: Buffer) => (got += chunk))
  for (const count of [1, 2, 3]) {
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await until(() => got.split('HTTP/1.1 200').length === count + 1 && got.endsWith('}'))
  }
  socket.destroy()
  expect(got).toContain('{"id":"tnt_1","labels":{}}')
})

it('the service is told the secret of this edge, whose address it is, and no secret of the caller’s', async () => {
  await get({ headers: { 'x-gateway-secret': 'forged', 'x-forwarded-for': '1.2.3.4', authorization: 'Bearer x' } })
  expect(upstream.arrived()?.metadata).toMatchObject({
    'x-gateway-secret': 's3cret',
    'x-forwarded-for': expect.stringMatching(/^1\.2\.3\.4, (::ffff:)?127\.0\.0\.1$/),
    authorization: 'Bearer x',
  })
})

it('an offer of HTTP/2, and a request as it is asked of proxies, are requests like others', async () => {
  const raw = (head: string) =>
    new Promise<string>((resolve) => {
      const socket = netConnect({ host: '127.0.0.1', port: port.port }, () =>
        socket.write(`${head}\r\nhost: x\r\nconnection: close\r\n\r\n`),
      )
      let got = ''
      socket.on('data', (chunk: Buffer) => (got += chunk))
      socket.on('close', () => resolve(got))
    })
  for (const head of [
    `GET ${path} HTTP/1.1\r\nhttp2-settings: x`,
    `GET http://example.org${path} HTTP/1.1`,
    `GET /${path} HTTP/1.1`,
    `GET ${path} HTTP/1.1\r\nexpect: wonders`,
  ]) {
    expect((await raw(head)).split('\r\n')[0], head).toBe('HTTP/1.1 200 OK')
  }
  expect((await raw('CONNECT example.org:443 HTTP/1.1')).split('\r\n')[0]).toBe('HTTP/1.1 405 Method Not Allowed')
})

it('whoever asks for a tunnel and resets the connection harms nobody', async () => {
  for (let i = 0; i < 50; i++) {
    await new Promise<void>((resolve) => {
      const socket = netConnect({ host: '127.0.0.1', port: port.port }, () => {
        socket.write('CONNECT example.org:443 HTTP/1.1\r\nhost: x\r\n\r\n', () => socket.resetAndDestroy())
      })
      socket.on('error', () => {})
      socket.on('close', () => resolve())
    })
  }
  expect((await get()).status).toBe(200)
})

it('400: more headers than the service takes, though each line is short enough', async () => {
  const headers = Object.fromEntries(['a', 'b', 'c'].map((name) => [`x-${name}`, 'v'.repeat(5_500)]))
  const answer = await get({ headers })
  expect([answer.status, ((await answer.json()) as { details: { reason: string }[] }).details[0]!.reason]).toEqual([
    400,
    'REQUEST_TOO_LARGE',
  ])
  expect(upstream.arrived()).toBeUndefined()
})

it('what is refused here has the request id that was sent, or one of its own', async () => {
  const nowhere = `http://127.0.0.1:${port.port}/v1/nowhere`
  expect((await fetch(nowhere, { headers: { 'x-request-id': 'r-1' } })).headers.get('x-request-id')).toBe('r-1')
  expect((await fetch(nowhere)).headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
})

describe('time', () => {
  it('504: the service is silent for longer than it may be, or than the caller waits', async () => {
    upstream.answers({ ...answer, delayMs: 5_000 })
    const [late, impatient] = await Promise.all([get(), get({ headers: { 'grpc-timeout': '50m' } })])
    expect([late.status, impatient.status]).toEqual([504, 504])
    expect(await late.json()).toMatchObject({ code: 4, details: [{ reason: 'DEADLINE' }] })
  })

  it('a caller that goes away ends the call', async () => {
    upstream.answers({ ...answer, delayMs: 60_000 })
    const aborting = new AbortController()
    const asked = get({ signal: aborting.signal })
    await until(() => upstream.arrived() !== undefined)
    aborting.abort()
    await expect(asked).rejects.toThrow()
    await until(() => upstream.open() === 0)
  })
})

describe('the service', () => {
  it('502 while it is away; it is found again when it is back', async () => {
    wire.stop()
    expect((await get()).status).toBe(200)
    upstream.cut()
    const answers = [(await get()).status, (await get()).status]
    expect(answers.at(-1)).toBe(200)
  })

  it('503 SHUTTING_DOWN: it is gone before this port is', async () => {
    upstream.cut()
    await upstream.stop()
    port.drain()
    const answer = await get()
    expect([answer.status, await answer.json()]).toEqual([
      503,
      expect.objectContaining({ details: [expect.objectContaining({ reason: 'SHUTTING_DOWN' })] }),
    ])
  })

  it('is drained: a request under way is answered, and its connection ends', async () => {
    upstream.answers({ ...answer, delayMs: 300 })
    const asked = get()
    await until(() => upstream.arrived() !== undefined)
    port.drain()
    const stopped = port.stop()
    expect((await asked).status).toBe(200)
    await stopped
    await expect(get()).rejects.toThrow()
  })
})
