import { createServer, connect as netConnect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type HttpOptions, type HttpPort, openHttp } from '../../server/edge/http.js'

let port: HttpPort | undefined
afterEach(async () => {
  await port?.stop()
  port = undefined
})
const ok = async () => ({ ok: true, checks: { postgres: 'ok' } })
async function open(options: Partial<HttpOptions> = {}) {
  port = await openHttp({ hosts: ['127.0.0.1'], port: 0, ready: ok, ...options })
  return (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${port!.port}${path}`, init)
}
/** What comes back on a bare connection until the other end closes it. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = netConnect({ host: '127.0.0.1', port: port!.port }, () => socket.write(text))
    let got = ''
    socket.on('data', (chunk: Buffer) => (got += chunk))
    socket.on('close', () => resolve(got))
    socket.on('error', reject)
  })
}

describe('health', () => {
  it('C-096 liveness asks nobody', async () => {
    const get = await open({ ready: () => Promise.reject(new Error('everything is down')) })
    const answer = await get('/healthz')
    expect([answer.status, await answer.json()]).toEqual([200, { ok: true }])
    expect((await get('/readyz')).status).toBe(503)
  })

  it('C-096 readiness follows what it depends on, and a drain ends it while liveness goes on', async () => {
    let up = false
    const get = await open({ ready: async () => ({ ok: up, checks: { postgres: up ? 'ok' : 'away' } }) })
    const before = await get('/readyz')
    expect([before.status, await before.json()]).toEqual([503, { ok: false, checks: { postgres: 'away' } }])
    up = true
    expect((await get('/readyz')).status).toBe(200)
    port!.drain()
    expect((await get('/readyz')).status).toBe(503)
    expect((await get('/healthz')).status).toBe(200)
  })

  it('readiness without an answer is a no, without a word about why', async () => {
    const get = await open({ ready: () => new Promise(() => {}) })
    expect((await get('/readyz')).status).toBe(503)
    await port!.stop()
    const failing = await open({ ready: () => Promise.reject(new Error('postgres://app:pass@db')) })
    expect(await (await failing('/readyz')).text()).not.toContain('pass')
  })
})

describe('everything else', () => {
  it.each(['/', '/healthz/', '/HEALTHZ', '/v1/tenants', '/readyz/../healthz2', '/%68ealthz'])('404 as JSON: %s', async (path) => {
    await open()
    const answer = await raw(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 404 /)
    expect(JSON.parse(answer.split('\r\n\r\n')[1]!)).toMatchObject({
      code: 5,
      status: 'NOT_FOUND',
      details: [{ reason: 'ROUTE_NOT_FOUND' }],
    })
  })

  it('405 names what is allowed; HEAD is GET without a body', async () => {
    const get = await open()
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const answer = await get('/healthz', { method })
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    }
    const [head, whole] = [await get('/healthz?x=1', { method: 'HEAD' }), await get('/healthz?x=1')]
    expect([head.status, await head.text()]).toEqual([200, ''])
    expect(head.headers.get('content-length')).toBe(whole.headers.get('content-length'))
    expect(whole.headers.get('server') ?? whole.headers.get('x-powered-by')).toBeNull()
  })

  it.each([
    [400, 'GET nonsense\r\n\r\n'],
    [400, 'BREW /healthz HTTP/1.1\r\nhost: x\r\n\r\n'],
    [400, 'GET /healthz HTTP/1.1\r\n\r\n'],
    [431, `GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`],
    [400, 'GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n'],
  ])('%i and the end of the connection: %j', async (status, text) => {
    await open()
    const answer = await raw(text)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(JSON.parse(answer.split('\r\n\r\n')[1]!)).toMatchObject({
      status: expect.any(String),
      details: [{ domain: 'customer-management' }],
    })
  })

  it('a body is not read, and ends the connection', async () => {
    await open()
    expect(await raw(`POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\nabc`)).toMatch(
      /^HTTP\/1\.1 405 [\s\S]*connection: close/i,
    )
  })

  it('a head that never ends is cut', { timeout: 15_000 }, async () => {
    await open()
    expect(await raw('GET /healthz HTTP/1.1\r\nhost: x\r\n')).toMatch(/^(HTTP\/1\.1 408 |$)/)
  })
})

describe('listening', () => {
  it('names a port that is in use, and leaves nothing open', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port: number } = taken.address() as { port: number }
    try {
      await expect(openHttp({ hosts: ['127.0.0.2', '127.0.0.1'], port: number, ready: ok })).rejects.toThrow(
        `HTTP_PORT ${number} on 127.0.0.1 is in use`,
      )
      const again = await openHttp({ hosts: ['127.0.0.2'], port: number, ready: ok })
      await again.stop()
    } finally {
      taken.close()
    }
  })

  it('has the same port on every host, and one line for a host that the machine lacks', async () => {
    const lines: string[] = []
    port = await openHttp({ hosts: ['127.0.0.1', '127.0.0.2', '203.0.113.1'], port: 0, ready: ok, warn: (line) => lines.push(line) })
    expect(port.hosts).toEqual(['127.0.0.1', '127.0.0.2'])
    expect(lines).toEqual([expect.stringContaining('203.0.113.1')])
    for (const host of port.hosts) expect((await fetch(`http://${host}:${port.port}/healthz`)).status).toBe(200)
  })

  it('fails where the machine has none of the hosts', async () => {
    await expect(openHttp({ hosts: ['203.0.113.1'], port: 0, ready: ok })).rejects.toThrow()
    await expect(openHttp({ hosts: ['203.0.113.1', '203.0.113.2'], port: 0, ready: ok })).rejects.toThrow('none of')
  })

  it('stops: a running request is answered, an idle connection is closed', async () => {
    let answer = (_: { ok: boolean; checks: Record<string, string> }) => {}
    const get = await open({ ready: () => new Promise((resolve) => (answer = resolve)) })
    await get('/healthz')
    const running = get('/readyz')
    await new Promise((resolve) => setTimeout(resolve, 50))
    const stopped = port!.stop()
    answer({ ok: true, checks: {} })
    expect((await running).status).toBe(503)
    await stopped
    await expect(get('/healthz')).rejects.toThrow()
  })
})
