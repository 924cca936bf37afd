import { connect } from 'node:http2'
import { type ServiceError, status } from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import type { WatchEventsResponse } from '../../gen/customer/event/v1/event_service.js'
import { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { Fault } from '../../server/rpc/fault.js'
import { bearer, type Fixture, type FixtureOptions, failure, startFixture, tenantId, until } from './fixture.js'

let server: Fixture
const start = async (watchEvents: NonNullable<FixtureOptions['events']>['watchEvents'], options: FixtureOptions = {}) => {
  server = await startFixture({ ...options, events: { watchEvents: watchEvents! } })
}
afterEach(() => server.stop())

const sequence = (n: number) => String(n).padStart(20, '0')
const batch = (n: number): WatchEventsResponse => ({ events: [], lastSequence: sequence(n) })
const never = () => new Promise<never>(() => undefined)

function watch(token = 'ck_all') {
  const stream = server.eventClient.watchEvents({ tenantId, afterSequence: '', eventType: '' }, bearer(token))
  const seen: string[] = []
  let ended: ServiceError | 'end' | undefined
  stream.on('data', (it: WatchEventsResponse) => seen.push(it.lastSequence))
  stream.on('end', () => {
    ended ??= 'end'
  })
  stream.on('error', (err: ServiceError) => {
    ended = err
  })
  return { stream, seen, ended: () => ended, failure: () => failure(ended as ServiceError) }
}

describe('streams', () => {
  it('sends what the handler yields, in order, and one line at the end', async () => {
    await start(async () =>
      (async function* () {
        for (let n = 1; n <= 3; n++) yield batch(n)
      })(),
    )
    const it = watch()
    await until(() => it.ended() !== undefined)
    expect(it.ended()).toBe('end')
    expect(it.seen).toEqual([1, 2, 3].map(sequence))
    expect(server.lines).toMatchObject([{ code: 'OK', method: '/customer.event.v1.EventService/WatchEvents', tenant: tenantId }])
  })

  it('a Fault before the first answer: no initial metadata, and its details', async () => {
    await start(async () => {
      throw new Fault('CURSOR_AHEAD', 'beyond the last event', { last_sequence: sequence(7) })
    })
    const it = watch()
    let metadata = 0
    it.stream.on('metadata', () => metadata++)
    await until(() => it.ended() !== undefined)
    expect(it.failure()).toMatchObject({
      code: status.OUT_OF_RANGE,
      info: { reason: 'CURSOR_AHEAD', metadata: { last_sequence: sequence(7) } },
    })
    expect(server.lines).toMatchObject([{ code: 'OUT_OF_RANGE', reason: 'CURSOR_AHEAD' }])
  })

  it('a Fault between answers ends the stream behind them', async () => {
    await start(async () =>
      (async function* () {
        yield batch(1)
        throw new Fault('STREAM_EXPIRED', 'go on', { last_sequence: sequence(1) })
      })(),
    )
    const it = watch()
    await until(() => it.ended() !== undefined)
    expect(it.seen).toEqual([sequence(1)])
    expect(it.failure()).toMatchObject({
      code: status.UNAVAILABLE,
      info: { reason: 'STREAM_EXPIRED', metadata: { last_sequence: sequence(1) } },
    })
  })

  it('C-067 INTERNAL: a stream that throws, or yields what does not encode', async () => {
    for (const bad of [
      async function* () {
        yield batch(1)
        throw new Error('SELECT secret')
      },
      async function* () {
        yield batch(1)
        yield null as never
      },
    ]) {
      await start(async () => bad())
      const it = watch()
      await until(() => it.ended() !== undefined)
      expect(it.failure()).toMatchObject({ code: status.INTERNAL, info: { reason: 'INTERNAL' } })
      expect(it.failure().message).not.toContain('SELECT')
      expect(server.unexpected).toHaveLength(1)
      await server.stop()
    }
  })

  it('a reader that does not read stops the handler, and all comes once it reads', async () => {
    let made = 0
    const big = { events: [], lastSequence: 'x'.repeat(8 * 1024) }
    await start(async () =>
      (async function* () {
        for (; made < 200; made++) yield big
      })(),
    )
    // grpc-js's own client reads ahead without bound; Node's keeps to the window of 64 kB.
    const session = connect(`http://${server.target}`)
    const path = '/customer.event.v1.EventService/WatchEvents'
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', authorization: 'Bearer ck_all' })
    stream.pause()
    const message = Buffer.concat([Buffer.from([10, tenantId.length]), Buffer.from(tenantId)])
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]))
    await until(() => made > 3)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(made).toBeLessThan(20)
    let bytes = 0
    stream.on('data', (data: Buffer) => {
      bytes += data.length
    })
    stream.resume()
    await until(() => bytes > 200 * 8 * 1024)
    session.close()
  })

  it('the signal fires and the source is closed when the caller goes away, even from within a wait', async () => {
    let signal: AbortSignal | undefined
    let closed = false
    await start(async (_, call) => {
      signal = call.signal
      return (async function* () {
        try {
          yield batch(1)
          await new Promise((_, reject) => call.signal.addEventListener('abort', () => reject(call.signal.reason)))
        } finally {
          closed = true
        }
      })()
    })
    const it = watch()
    await until(() => it.seen.length === 1)
    it.stream.cancel()
    await until(() => closed)
    expect(signal?.aborted).toBe(true)
    await until(() => server.lines.length === 1)
    expect(server.lines).toMatchObject([{ code: 'CANCELLED', reason: 'CANCELLED' }])
    expect(server.unexpected).toEqual([])
  })

  it('TOO_MANY_STREAMS: the sixth of one principal; another has its own five, and a closed one makes room', async () => {
    await start(async () =>
      (async function* () {
        yield batch(1)
        await never()
      })(),
    )
    const five = Array.from({ length: 5 }, () => watch())
    await until(() => five.every((it) => it.seen.length === 1))
    const sixth = watch()
    await until(() => sixth.ended() !== undefined)
    expect(sixth.failure()).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      info: { reason: 'TOO_MANY_STREAMS', metadata: { limit: '5' } },
    })
    const other = watch('ck_tenant')
    await until(() => other.ended() !== undefined)
    expect(other.failure().info?.reason).toBe('PERMISSION_MISSING')
    five[0]!.stream.cancel()
    await until(() => server.lines.some((it) => it['code'] === 'CANCELLED'))
    const next = watch()
    await until(() => next.seen.length === 1)
  })

  it('F-22 the drain ends an open stream as UNAVAILABLE SHUTTING_DOWN, lets a unary call finish, and closes', async () => {
    let release: (() => void) | undefined
    server = await startFixture({
      events: {
        watchEvents: async () =>
          (async function* () {
            yield batch(1)
            await never()
          })(),
      },
      tenants: {
        getTenant: async () => {
          await new Promise<void>((resolve) => {
            release = resolve
          })
          return Tenant.fromPartial({ slug: 'late' })
        },
      },
    })
    const it = watch()
    const unary = server.getTenant()
    await until(() => it.seen.length === 1 && release !== undefined)
    const drained = server.server.drain({ pauseMs: 20, graceMs: 5000 })
    await until(() => it.ended() !== undefined)
    expect(it.failure()).toMatchObject({ code: status.UNAVAILABLE, info: { reason: 'SHUTTING_DOWN' } })
    release!()
    expect((await unary).answer).toMatchObject({ slug: 'late' })
    await drained
  })

  it('the drain gives up on what hangs: UNAVAILABLE after the grace', async () => {
    server = await startFixture({ tenants: { getTenant: never } })
    const unary = server.getTenant()
    await new Promise((resolve) => setTimeout(resolve, 50))
    const began = performance.now()
    await server.server.drain({ pauseMs: 0, graceMs: 200 })
    expect(performance.now() - began).toBeLessThan(5_000)
    expect(await unary).toMatchObject({ code: status.UNAVAILABLE, info: { reason: 'SHUTTING_DOWN' } })
  })
})
