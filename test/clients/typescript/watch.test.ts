import type { ServerWritableStream } from '@grpc/grpc-js'
import { credentials } from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type CustomerManagementClient, createClient } from '../../../clients/typescript/src/index.js'
import { Transport } from '../../../clients/typescript/src/transport.js'
import { watching } from '../../../clients/typescript/src/watch.js'
import { EventServiceService, WatchEventsRequest } from '../../../gen/customer/event/v1/event_service.js'
import { startTcpProxy } from '../../support/tcp-proxy.js'
import { batch, failure, startScriptedServer } from './scripted-server.js'
import { apiKey, failed, setUp, tenantId } from './set-up.js'

type Stream = ServerWritableStream<unknown, unknown>

const end = (call: Stream, ...args: Parameters<typeof failure>) => void call.emit('error', failure(...args))

/** The numbers of the first `count` events. */
async function numbers(client: CustomerManagementClient, count: number, request: Parameters<typeof client.events.watchEvents>[0] = {}) {
  const found: number[] = []
  for await (const { sequence } of client.events.watchEvents({ tenantId, ...request })) {
    found.push(Number(sequence))
    if (found.length === count) break
  }
  return found
}

const cursors = (seen: readonly { request: Record<string, unknown> }[]) => seen.map(({ request }) => Number(request['afterSequence']))

describe('a watch', () => {
  it('yields the events behind a sequence, without a deadline', async () => {
    const { client, seen } = await setUp({ watchEvents: (call) => void call.write(batch(8, 10)) })
    expect(await numbers(client, 3, { afterSequence: '7', eventType: 'x' })).toEqual([8, 9, 10])
    expect(seen[0]!.request).toEqual({ tenantId, afterSequence: '7', eventType: 'x' })
    expect(Number(seen[0]!.call.getDeadline())).toBe(Number.POSITIVE_INFINITY)
  })

  it('resumes after the last sequence seen: expired, drained, ended by an intermediary', async () => {
    const { client, seen } = await setUp({
      watchEvents: (call, _, nth) => {
        call.write(batch(nth * 2 - 1, nth * 2))
        if (nth === 1) end(call, 'UNAVAILABLE', 'STREAM_EXPIRED', { metadata: { last_sequence: '2' } })
        if (nth === 2) end(call, 'UNAVAILABLE', 'SHUTTING_DOWN')
        if (nth === 3) call.end()
      },
    })
    expect(await numbers(client, 8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(cursors(seen)).toEqual([0, 2, 4, 6])
  })

  it('resumes after the sequence of a heartbeat, where a filter holds the events back', async () => {
    const { client, seen } = await setUp({
      watchEvents: (call, _, nth) => {
        if (nth > 1) return void call.write(batch(91, 91))
        call.write(batch(1, 1))
        call.write(batch(1, 0, 90))
        end(call, 'UNAVAILABLE', 'STREAM_EXPIRED')
      },
    })
    expect(await numbers(client, 2)).toEqual([1, 91])
    expect(cursors(seen)).toEqual([0, 90])
  })

  it('loses and repeats nothing when connections are reset at random', async () => {
    const last = 2_000
    const server = await startScriptedServer({
      watchEvents: (call, { request }) => {
        let next = Number(request['afterSequence']) + 1
        const tick = setInterval(() => {
          if (next > last || call.cancelled) return clearInterval(tick)
          const to = Math.min(last, next + Math.floor(Math.random() * 20))
          call.write(batch(next, to))
          next = to + 1
          if (Math.random() < 0.03) wire.resetAll()
        }, 2)
      },
    })
    const wire = await startTcpProxy({ port: server.port })
    const client = createClient({ address: `${wire.host}:${wire.port}`, apiKey })
    onTestFinished(() => {
      client.close()
      void wire.stop()
      server.stop()
    })
    expect(await numbers(client, last)).toEqual(Array.from({ length: last }, (_, i) => i + 1))
    expect(server.seen.length).toBeGreaterThan(1)
  }, 30_000)

  it('outlasts a server that is away longer than a call would wait, and comes back on its port', async () => {
    const first = await startScriptedServer({ watchEvents: (call) => void call.write(batch(1, 2)) })
    const client = createClient({ address: first.address, apiKey })
    const found = numbers(client, 4)
    await expect.poll(() => first.seen.length).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 100))
    first.stop()
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    const second = await startScriptedServer({ watchEvents: (call) => void call.write(batch(3, 4)) }, { port: first.port })
    onTestFinished(() => {
      client.close()
      second.stop()
    })
    expect(await found).toEqual([1, 2, 3, 4])
    expect(cursors(second.seen)).toEqual([2])
  }, 20_000)

  it('UNAVAILABLE: given up after four attempts where no stream was ever in order', async () => {
    const { client, seen } = await setUp({ watchEvents: (call) => end(call, 'UNAVAILABLE', 'DEPENDENCY_DOWN') })
    expect(await failed(numbers(client, 1))).toMatchObject({ code: 'UNAVAILABLE', reason: 'DEPENDENCY_DOWN' })
    expect(seen).toHaveLength(4)
  })

  it.each([
    failure('UNAUTHENTICATED', 'CREDENTIAL_INVALID'),
    failure('PERMISSION_DENIED', 'PERMISSION_MISSING'),
    failure('OUT_OF_RANGE', 'CURSOR_AHEAD', { metadata: { last_sequence: '3' } }),
    failure('RESOURCE_EXHAUSTED', 'TOO_MANY_STREAMS'),
    failure('INTERNAL'),
  ])('throws the rest, typed, behind the events that came: $code', async (error) => {
    const { client, seen } = await setUp({
      watchEvents: (call) => {
        call.write(batch(1, 2))
        call.emit('error', error)
      },
    })
    const found: string[] = []
    const loop = async () => {
      for await (const { id } of client.events.watchEvents({ tenantId })) found.push(id)
    }
    expect((await failed(loop())).code).not.toBe('UNAVAILABLE')
    expect(found).toHaveLength(2)
    expect(seen).toHaveLength(1)
  })
})

describe('a watch ends', () => {
  const one = (call: Stream) => void call.write(batch(1, 1))

  it('by break: the call is cancelled', async () => {
    const { client, seen } = await setUp({ watchEvents: one })
    await numbers(client, 1)
    await expect.poll(() => seen[0]!.call.cancelled).toBe(true)
  })

  it('by an error of the loop, which stays what it is', async () => {
    const { client, seen } = await setUp({ watchEvents: one })
    const mine = new Error('mine')
    const loop = async () => {
      for await (const _ of client.events.watchEvents({ tenantId })) throw mine
    }
    await expect(loop()).rejects.toBe(mine)
    await expect.poll(() => seen[0]!.call.cancelled).toBe(true)
  })

  it('by abort, by close and by return, while it waits, without an error', async () => {
    const { client, seen } = await setUp({ watchEvents: one })
    const controller = new AbortController()
    const ends = [() => controller.abort(), (events: AsyncIterator<unknown>) => void events.return?.(), () => client.close()]
    for (const [i, finish] of ends.entries()) {
      const events = client.events.watchEvents({ tenantId }, { signal: controller.signal.aborted ? undefined : controller.signal })
      expect((await events.next()).done).toBe(false)
      const waiting = events.next()
      setTimeout(finish, 50, events)
      expect(await waiting).toEqual({ done: true, value: undefined })
      await expect.poll(() => seen[i]!.call.cancelled).toBe(true)
    }
    expect(await client.events.watchEvents({ tenantId }).next()).toEqual({ done: true, value: undefined })
    expect(seen).toHaveLength(3)
  })

  it('by abort, in the middle of a batch', async () => {
    const { client } = await setUp({ watchEvents: (call) => void call.write(batch(1, 3)) })
    const controller = new AbortController()
    const found: string[] = []
    for await (const { id } of client.events.watchEvents({ tenantId }, { signal: controller.signal })) {
      found.push(id)
      controller.abort()
    }
    expect(found).toHaveLength(1)
  })

  it('by abort, while it waits to open again', async () => {
    const { client } = await setUp({ watchEvents: (call) => end(call, 'RESOURCE_EXHAUSTED', 'TENANT_BUSY', { retryAfterMs: 60_000 }) })
    const startedAt = performance.now()
    for await (const _ of client.events.watchEvents({ tenantId }, { signal: AbortSignal.timeout(200) })) expect.fail()
    expect(performance.now() - startedAt).toBeLessThan(6_000)
  })
})

describe('a silent stream', () => {
  const set = async (watchEvents: (call: Stream, seen: unknown, nth: number) => void) => {
    const server = await startScriptedServer({ watchEvents })
    const transport = new Transport(server.address, credentials.createInsecure(), apiKey, 10_000, true)
    onTestFinished(() => {
      transport.close()
      server.stop()
    })
    const { path, requestSerialize, responseDeserialize } = EventServiceService.watchEvents
    const create = (partial: unknown) => WatchEventsRequest.fromPartial(partial as object)
    const method = { path, requestSerialize, responseDeserialize, create, repeatable: true }
    return { seen: server.seen, events: watching(transport, method, { tenantId }, {}, 300) }
  }

  it('is cancelled and opened again', async () => {
    const { seen, events } = await set((call, _, nth) => void call.write(batch(nth, nth)))
    const found: number[] = []
    for await (const { sequence } of events) if (found.push(Number(sequence)) === 3) break
    expect(found).toEqual([1, 2, 3])
    expect(cursors(seen)).toEqual([0, 1, 2])
    expect(seen[1]!.at - seen[0]!.at).toBeGreaterThan(290)
    await expect.poll(() => seen.every(({ call }) => call.cancelled)).toBe(true)
  })

  it('is not one that beats, nor one whose consumer is slow; the silence after that counts', async () => {
    const { seen, events } = await set((call, _, nth) => {
      if (nth > 1) return void call.write(batch(3, 3))
      call.write(batch(1, 1))
      let beats = 0
      const timer = setInterval(() => {
        beats++
        if (beats < 8) return call.write(batch(1, 0, 1))
        clearInterval(timer)
        call.write(batch(2, 2))
      }, 100)
    })
    expect(await numberOf(events)).toBe(1)
    expect(await numberOf(events)).toBe(2)
    await new Promise((resolve) => setTimeout(resolve, 700))
    expect(seen).toHaveLength(1)
    const askedAt = performance.now()
    expect(await numberOf(events)).toBe(3)
    expect(seen[1]!.at - askedAt).toBeGreaterThan(290)
    await events.return?.()
  })
})

const numberOf = async (events: AsyncIterator<{ sequence: string }>) => Number((await events.next()).value.sequence)
