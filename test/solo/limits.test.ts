import { randomUUID } from 'node:crypto'
import { connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WatchEventsRequest } from '../../gen/customer/event/v1/event_service.js'
import { run } from '../../server/dev/run.js'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import { type Clients, connect as clientsOf } from '../support/client.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { callHeaders, flag, frame, frameType, openRaw, preface, type RawHttp2 } from '../support/raw-http2.js'
import { databaseEnv, type ServerProcess, startServerProcess } from '../support/server-process.js'
import { type Solo, startSolo, theCluster } from '../support/solo.js'
import { until } from '../support/until.js'

const infoPath = '/customer.platform.v1.PlatformService/GetServerInfo'
const watchPath = '/customer.event.v1.EventService/WatchEvents'
const rounds = process.env['N'] === 'full' ? 100 : 1
const growthMaxBytes = 50 * 2 ** 20
const settings = frame(frameType.settings, 0, 0)
const messageOf = (bytes: Uint8Array, length = bytes.length, compressed = 0) => {
  const head = Buffer.alloc(5)
  head.writeUInt8(compressed, 0)
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, bytes])
}

const sockets: RawHttp2[] = []
const open = async (address: string) => {
  const raw = await openRaw(address)
  sockets.push(raw)
  return raw
}
afterEach(() => {
  for (const { socket } of sockets.splice(0)) socket.destroy()
})

describe('a server that is a process', () => {
  let database: TestDatabase
  let server: ServerProcess
  let clients: Clients
  const key = makePlatformKey()
  beforeAll(async () => {
    database = await createDatabase(theCluster())
    server = await startServerProcess({ ...databaseEnv(database.urls), BOOTSTRAP_API_KEY: key })
    clients = clientsOf(server.address, key)
    for (let i = 0; i < 50; i++) await others()
  })
  afterAll(async () => {
    clients?.close()
    await server?.stop()
    await database?.drop()
  })

  /** Somebody else is served. */
  const others = async () => expect(await clients.platform.getServerInfo({})).toMatchObject({ name: 'customer-management' })
  const memory = async () => Number((await run('ps', ['-o', 'rss=', '-p', String(server.pid)])).output) * 1024
  /** How much larger the process was at any time while this went on. */
  async function growth(work: () => Promise<unknown>): Promise<number> {
    const before = await memory()
    let most = before
    let over = false
    const watching = (async () => {
      while (!over) most = Math.max(most, await memory())
    })()
    await work().finally(() => {
      over = true
    })
    await watching
    await others()
    return most - before
  }

  /** Of a unary call: its headers' or trailers' status; `reset` where the stream ended without. */
  const ask = (headers: OutgoingHttpHeaders, body: Buffer | undefined) =>
    new Promise<string>((resolve) => {
      const session = connect(`http://${server.address}`)
      let answer = 'reset'
      const took = (given: IncomingHttpHeaders) => {
        if (given['grpc-status'] !== undefined) answer = String(given['grpc-status'])
        else if (given[':status'] !== 200) answer = `HTTP ${given[':status']}`
      }
      const done = () => {
        session.destroy()
        resolve(answer)
      }
      session.on('error', done)
      const fixed = { ':method': 'POST', ':path': infoPath, 'content-type': 'application/grpc', te: 'trailers', authorization: `Bearer ${key}` }
      const stream = session.request({ ...fixed, ...headers })
      stream.on('response', took).on('trailers', took).on('error', () => {}).on('close', done).resume()
      if (body) stream.end(body)
    })

  const bomb = gzipSync(Buffer.alloc(200 * 2 ** 20))
  it.each<[string, OutgoingHttpHeaders, () => Buffer, RegExp]>([
    ['a message of 5 MB', {}, () => messageOf(Buffer.alloc(5 * 2 ** 20)), /^8$/],
    ['a message that says it has 2 GB', {}, () => messageOf(Buffer.alloc(1000), 2 ** 31), /^8$/],
    ['200 kB that unpack to 200 MB', { 'grpc-encoding': 'gzip' }, () => messageOf(bomb, bomb.length, 1), /^8$/],
    ['metadata of 20 kB', { 'x-large': 'a'.repeat(20_000) }, () => messageOf(Buffer.alloc(0)), /^(8|reset|HTTP 431)$/],
    ['metadata of 120 kB', { 'x-large': 'a'.repeat(120_000) }, () => messageOf(Buffer.alloc(0)), /^(8|reset|HTTP 431)$/],
    ['1,000 pairs of metadata', Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`x-${i}`, 'a'])), () => messageOf(Buffer.alloc(0)), /^(8|reset|HTTP 431)$/],
  ])('F-17 refuses %s, time and again, in bounded memory', async (_, headers, body, code) => {
    const bytes = body()
    const answers = new Set<string>()
    const grown = await growth(async () => {
      for (let i = 0; i < 5 * rounds; i++)
        for (const answer of await Promise.all(Array.from({ length: 8 }, () => ask(headers, bytes)))) answers.add(answer)
    })
    console.log([...answers], Math.round(grown / 2 ** 20))
    for (const answer of answers) expect(answer).toMatch(code)
    expect(grown).toBeLessThan(growthMaxBytes)
  })

  it('F-18 refuses the 101st stream of a connection, and goes on with the others', async () => {
    const raw = await open(server.address)
    await raw.write(preface, settings)
    for (let i = 0; i < 150; i++) await raw.write(frame(frameType.headers, flag.endHeaders, 2 * i + 1, callHeaders(infoPath, key)))
    const refused = () => raw.received.filter(({ type, payload }) => type === frameType.reset && payload.readUInt32BE() === 7)
    await until(() => refused().length >= 50, { timeoutMs: 10_000 })
    expect(refused().map(({ stream }) => stream)).toEqual(Array.from({ length: 50 }, (_, i) => 201 + 2 * i))
    expect(raw.closed()).toBe(false)
    await raw.write(frame(frameType.data, flag.endStream, 1, messageOf(Buffer.alloc(0))))
    await until(() => raw.received.some(({ type, stream, flags }) => type === frameType.headers && stream === 1 && flags & flag.endStream), { timeoutMs: 10_000 })
    await others()
  })

  it.each<[string, (raw: RawHttp2, nth: number) => Promise<void>]>([
    ['streams that are reset at once', (raw, nth) => raw.write(
      frame(frameType.headers, flag.endHeaders, 2 * nth + 1, callHeaders(infoPath, key)),
      frame(frameType.data, flag.endStream, 2 * nth + 1, messageOf(Buffer.alloc(0))),
      frame(frameType.reset, 0, 2 * nth + 1, Buffer.from([0, 0, 0, 8])),
    )],
    ['pings', (raw) => raw.write(frame(frameType.ping, 0, 0, Buffer.alloc(8)))],
    ['settings', (raw) => raw.write(settings)],
    ['CONTINUATION without end', (raw, nth) => raw.write(nth === 0 ? frame(frameType.headers, 0, 1, callHeaders(infoPath, key)) : frame(frameType.continuation, 0, 1, callHeaders(infoPath, key)))],
    ['empty DATA', (raw, nth) => raw.write(nth === 0 ? frame(frameType.headers, flag.endHeaders, 1, callHeaders(infoPath, key)) : frame(frameType.data, 0, 1))],
    ['calls without authorization on one connection', (raw, nth) => raw.write(
      frame(frameType.headers, flag.endHeaders | flag.endStream, 2 * nth + 1, callHeaders(infoPath, '')),
    )],
  ])('F-18 a flood of %s: the process lives, in bounded memory, and others are served meanwhile', async (_, flood) => {
    const raw = await open(server.address)
    // what it answers nobody reads
    raw.socket.pause()
    await raw.write(preface, settings)
    let served = 0
    let sent = 0
    const grown = await growth(async () => {
      let over = false
      const serving = (async () => {
        while (!over) {
          await others()
          served++
        }
      })()
      for (; sent < 10_000 * rounds && !raw.closed(); sent++) {
        const went = await Promise.race([flood(raw, sent).then(() => true), new Promise<false>((resolve) => setTimeout(resolve, 1_000, false))])
        if (!went) break
      }
      over = true
      await serving
    })
    console.log({ sent, served, grown: Math.round(grown / 2 ** 20) })
    expect(served).toBeGreaterThan(0)
    expect(server.process.exitCode).toBeNull()
    expect(grown).toBeLessThan(growthMaxBytes)
  })

  it('F-16 streams whose readers never read are held up, not heaped up', async () => {
    const { id } = await clients.tenants.createTenant({ slug: 'never-reads', displayName: 'Never reads', ownerEmail: 'o@acme.example', requestId: randomUUID() })
    for (let i = 0; i < 100; i++) {
      const labels = Object.fromEntries(Array.from({ length: 60 }, (_, nth) => [`label-${nth}`, `${i}`.padEnd(60, 'x')]))
      await clients.tenants.updateTenant({ tenant: { id, labels } as never, updateMask: ['labels'] })
    }
    const grown = await growth(async () => {
      const raw = await open(server.address)
      raw.socket.pause()
      // a window of nothing: what is made of an answer must wait
      await raw.write(preface, frame(frameType.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])))
      for (let nth = 0; nth < 5; nth++) {
        await raw.write(
          frame(frameType.headers, flag.endHeaders, 2 * nth + 1, callHeaders(watchPath, key)),
          frame(frameType.data, flag.endStream, 2 * nth + 1, messageOf(Buffer.from(WatchEventsRequest.encode(WatchEventsRequest.create({ tenantId: id })).finish()))),
        )
      }
      for (let i = 0; i < 50; i++) await others()
    })
    console.log(Math.round(grown / 2 ** 20))
    expect(grown).toBeLessThan(growthMaxBytes)
  })
})

describe('connections that say little', () => {
  let solo: Solo
  beforeAll(async () => {
    solo = await startSolo({ deps: { limits: { keepaliveMs: 500, keepaliveTimeoutMs: 500 } } })
  })
  afterAll(() => solo?.stop())

  const drip = async (raw: RawHttp2, bytes: Buffer) => {
    for (const byte of bytes) {
      if (raw.closed()) return
      await raw.write(Buffer.from([byte]))
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  const headers = () => frame(frameType.headers, flag.endHeaders, 1, callHeaders(infoPath, solo.key))
  it.each<[string, (raw: RawHttp2) => Promise<unknown>]>([
    ['half a preface', (raw) => raw.write(preface.subarray(0, 12))],
    ['a preface, a byte at a time', (raw) => drip(raw, preface)],
    ['a preface, and nothing else', (raw) => raw.write(preface)],
    ['half its headers', (raw) => raw.write(preface, settings, headers().subarray(0, 40))],
    ['its headers, a byte at a time', async (raw) => {
      await raw.write(preface, settings)
      await drip(raw, headers())
    }],
    ['a message that never ends', (raw) => raw.write(preface, settings, headers(), frame(frameType.data, 0, 1, Buffer.from([0, 0])))],
    ['something that is not HTTP/2', (raw) => raw.write(Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'))],
    ['random bytes', (raw) => raw.write(preface, Buffer.alloc(1000, 7))],
  ])('F-15 is closed: %s', async (_, say) => {
    const raw = await open(solo.address)
    await say(raw)
    await until(() => raw.closed(), { timeoutMs: 10_000 })
    expect(await solo.clients.platform.getServerInfo({})).toMatchObject({ name: 'customer-management' })
  })
})
