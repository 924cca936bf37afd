import { connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WatchEventsRequest } from '../../gen/customer/event/v1/event_service.js'
import { openPool } from '../../server/db/pool.js'
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
const fixed = (path: string, key: string): OutgoingHttpHeaders => ({
  ':method': 'POST',
  ':path': path,
  'content-type': 'application/grpc',
  te: 'trailers',
  authorization: `Bearer ${key}`,
})
const nothing = messageOf(Buffer.alloc(0))

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
  const others = async () => (await clients.platform.getServerInfo({})).name === 'customer-management'
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
    await until(others, { timeoutMs: 30_000 })
    return most - before
  }

  const opening = (stream: number) => frame(frameType.headers, flag.endHeaders, stream, callHeaders(infoPath, key))

  /** Of a unary call: its headers' or trailers' status; `reset` where the stream ended without. */
  const ask = (headers: OutgoingHttpHeaders, body: Buffer | undefined) =>
    new Promise<string>((resolve) => {
      const session = connect(`http://${server.address}`)
      let answer = 'reset'
      const took = (given: IncomingHttpHeaders) => {
        if (given['grpc-status'] !== undefined) answer = String(given['grpc-status'])
        else if (given[':status'] !== undefined && String(given[':status']) !== '200') answer = `HTTP ${given[':status']}`
      }
      const done = () => {
        session.destroy()
        resolve(answer)
      }
      session.on('error', done)
      const stream = session.request({ ...fixed(infoPath, key), ...headers })
      stream
        .on('response', took)
        .on('trailers', took)
        .on('error', () => {})
        .on('close', done)
        .resume()
      if (body) stream.end(body)
    })

  const bomb = gzipSync(Buffer.alloc(200 * 2 ** 20))
  it.each<[string, OutgoingHttpHeaders, () => Buffer, RegExp]>([
    ['F-17 a message of 5 MB', {}, () => messageOf(Buffer.alloc(5 * 2 ** 20)), /^8$/],
    ['F-17 a message that says it has 2 GB', {}, () => messageOf(Buffer.alloc(1000), 2 ** 31), /^8$/],
    ['F-17 200 kB that unpack to 200 MB', { 'grpc-encoding': 'gzip' }, () => messageOf(bomb, bomb.length, 1), /^8$/],
    ['F-17 metadata of 20 kB', { 'x-large': 'a'.repeat(20_000) }, () => nothing, /^8$/],
    ['metadata of 120 kB', { 'x-large': 'a'.repeat(120_000) }, () => nothing, /^reset$/],
    ['F-17 300 pairs of metadata', Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x-${i}`, 'a'])), () => nothing, /^reset$/],
  ])('%s: refused, time and again, in bounded memory', async (_, headers, body, code) => {
    const bytes = body()
    await ask(headers, bytes)
    const answers = new Set<string>()
    const grown = await growth(async () => {
      for (let i = 0; i < 5 * rounds; i++)
        for (const answer of await Promise.all(Array.from({ length: 8 }, () => ask(headers, bytes)))) answers.add(answer)
    })
    for (const answer of answers) expect(answer).toMatch(code)
    expect(grown).toBeLessThan(growthMaxBytes)
  })

  it('F-18 refuses the 101st stream of a connection, and goes on with the others', async () => {
    const raw = await open(server.address)
    await raw.write(preface, settings)
    for (let i = 0; i < 150; i++) await raw.write(opening(2 * i + 1))
    const refused = () => raw.received.filter(({ type, payload }) => type === frameType.reset && payload.readUInt32BE() === 7)
    await until(() => refused().length >= 50, { timeoutMs: 10_000 })
    expect(refused().map(({ stream }) => stream)).toEqual(Array.from({ length: 50 }, (_, i) => 201 + 2 * i))
    expect(raw.closed()).toBe(false)
    await raw.write(frame(frameType.data, flag.endStream, 1, nothing))
    await until(
      () => raw.received.some(({ type, stream, flags }) => type === frameType.headers && stream === 1 && flags & flag.endStream),
      { timeoutMs: 10_000 },
    )
    expect(await others()).toBe(true)
  })

  it.each<[string, (raw: RawHttp2, nth: number) => Promise<void>]>([
    [
      'F-18 streams that are reset at once',
      (raw, nth) =>
        raw.write(
          opening(2 * nth + 1),
          frame(frameType.data, flag.endStream, 2 * nth + 1, nothing),
          frame(frameType.reset, 0, 2 * nth + 1, Buffer.from([0, 0, 0, 8])),
        ),
    ],
    ['pings', (raw) => raw.write(frame(frameType.ping, 0, 0, Buffer.alloc(8)))],
    ['settings', (raw) => raw.write(settings)],
    [
      'CONTINUATION without end',
      (raw, nth) =>
        raw.write(
          nth === 0
            ? frame(frameType.headers, 0, 1, callHeaders(infoPath, key))
            : frame(frameType.continuation, 0, 1, callHeaders(infoPath, key)),
        ),
    ],
    ['empty DATA', (raw, nth) => raw.write(nth === 0 ? opening(1) : frame(frameType.data, 0, 1))],
    [
      'calls without authorization on one connection',
      (raw, nth) => raw.write(frame(frameType.headers, flag.endHeaders | flag.endStream, 2 * nth + 1, callHeaders(infoPath, ''))),
    ],
  ])('%s, in a flood: the process lives, in bounded memory, and others are served meanwhile', async (_, flood) => {
    let [served, sent] = [0, 0]
    let over = false
    const serving = async () => {
      do {
        // a machine that has more to do than it can is slow for all; whom it could not serve asks again
        await until(others, { timeoutMs: 30_000 })
        served++
      } while (!over)
    }
    const flooding = async () => {
      while (sent < 10_000 * rounds) {
        const raw = await open(server.address)
        // what it answers nobody reads
        raw.socket.pause()
        await raw.write(preface, settings)
        for (let nth = 0; nth < 10_000 && !raw.closed(); nth++, sent++) {
          const went = flood(raw, nth).then(() => true)
          // a connection that takes no more is done with
          if (nth % 100 === 99 && !(await Promise.race([went, sleep(1_000, false)]))) break
        }
        raw.socket.destroy()
      }
      over = true
    }
    const grown = await growth(() => Promise.all([serving(), flooding()]))
    expect(served).toBeGreaterThan(0)
    expect(server.process.exitCode).toBeNull()
    expect(grown).toBeLessThan(growthMaxBytes)
  })

  it('F-16 streams whose readers never read are held up, not heaped up', async () => {
    const { id } = await clients.tenants.createTenant({ slug: 'never-read', displayName: 'Never read', ownerEmail: 'o@acme.example' })
    const superuser = openPool({ url: database.superuserUrl, max: 1 })
    // 40 MB for each of the five streams
    const copies = `insert into platform.events
      select tenant_id, stream, sequence + n, time, id || n, type, subject, rpad(payload, 10000), traceparent, correlation_id, causation_id
      from platform.events, generate_series(1, 4000) n where tenant_id = $1 and stream = 'domain' and sequence = 1`
    await superuser.query('delete from platform.events where tenant_id = $1 and sequence > 1', [id])
    await superuser.query(copies, [id])
    await superuser.query('update platform.tenant_counters set domain_sequence = 4001 where tenant_id = $1', [id])
    await superuser.end()
    const request = messageOf(Buffer.from(WatchEventsRequest.encode(WatchEventsRequest.create({ tenantId: id })).finish()))
    const grown = await growth(async () => {
      const raw = await open(server.address)
      // its window is nothing: headers come, and no message
      await raw.write(preface, frame(frameType.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])))
      for (let nth = 0; nth < 5; nth++) {
        const stream = 2 * nth + 1
        const headers = frame(frameType.headers, flag.endHeaders, stream, callHeaders(watchPath, key))
        await raw.write(headers, frame(frameType.data, flag.endStream, stream, request))
      }
      const begun = () => raw.received.filter(({ type }) => type === frameType.headers).length === 5
      await until(begun, { timeoutMs: 30_000 })
      for (let i = 0; i < 50 * rounds; i++) await until(others, { timeoutMs: 30_000 })
      expect(raw.received.filter(({ type }) => type === frameType.data || type === frameType.reset)).toEqual([])
    })
    expect(grown).toBeLessThan(growthMaxBytes)
  })
})

describe('connections that say little', () => {
  let solo: Solo
  beforeAll(async () => {
    solo = await startSolo({ deps: { limits: { keepaliveMs: 500, keepaliveTimeoutMs: 500, arrivalMs: 1_000 } } })
  })
  afterAll(() => solo?.stop())

  const drip = async (raw: RawHttp2, bytes: Buffer) => {
    for (const byte of bytes) {
      if (raw.closed()) return
      await raw.write(Buffer.from([byte]))
      await sleep(100)
    }
  }
  const headers = () => frame(frameType.headers, flag.endHeaders, 1, callHeaders(infoPath, solo.key))
  it.each<[string, (raw: RawHttp2) => Promise<unknown>]>([
    ['F-15 half a preface', (raw) => raw.write(preface.subarray(0, 12))],
    ['F-15 a preface, a byte at a time', (raw) => drip(raw, preface)],
    ['F-15 a preface, and nothing else', (raw) => raw.write(preface)],
    ['F-15 half of the headers', (raw) => raw.write(preface, settings, headers().subarray(0, 40))],
    [
      'F-15 headers, a byte at a time',
      async (raw) => {
        await raw.write(preface, settings)
        await drip(raw, headers())
      },
    ],
    ['F-15 a message that never ends', (raw) => raw.write(preface, settings, headers(), frame(frameType.data, 0, 1, Buffer.from([0, 0])))],
    ['something that is not HTTP/2', (raw) => raw.write(Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'))],
    ['random bytes', (raw) => raw.write(preface, Buffer.alloc(1000, 7))],
  ])('%s: closed', async (_, say) => {
    const raw = await open(solo.address)
    await say(raw)
    await until(() => raw.closed(), { timeoutMs: 10_000 })
    expect(await solo.clients.platform.getServerInfo({})).toMatchObject({ name: 'customer-management' })
  })

  it('F-15 a call is ended whose message does not come, though its connection answers pings; one that waits for answers is not', async () => {
    const { id } = await solo.clients.tenants.createTenant({ slug: 'late', displayName: 'Late', ownerEmail: 'o@acme.example' })
    const watch = solo.clients.events.watchEvents(WatchEventsRequest.create({ tenantId: id, afterSequence: '2' }), solo.clients.metadata())
    const ended: unknown[] = []
    const before = solo.lines.length
    watch.on('error', (err) => ended.push(err))
    const session = connect(`http://${solo.address}`)
    const statuses: unknown[] = []
    for (const path of [infoPath, watchPath]) {
      const stream = session.request(fixed(path, solo.key)).on('response', (given) => statuses.push(given['grpc-status']))
      stream.on('error', () => {}).write(Buffer.from([0, 0]))
    }
    await until(() => statuses.length === 2, { timeoutMs: 10_000 })
    expect(statuses).toEqual(['4', '4'])
    const lines = () => solo.lines.slice(before).filter(({ msg, code }) => msg === 'call' && code === 'DEADLINE_EXCEEDED')
    expect(lines()).toHaveLength(2)
    expect(session.destroyed).toBe(false)
    expect(ended).toEqual([])
    watch.cancel()
    session.destroy()
  })
})
