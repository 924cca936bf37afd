import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { consumerBench, rows, upTo } from '../support/consumer-bench.js'
import { tenantNumbered } from '../support/event-records.js'
import { type KafkaBroker, startKafka } from '../support/kafka.js'
import { until } from '../support/until.js'
import { forgetPid, watchPid } from '../support/watchdog.js'

// What happens around the SDK's consumer: retention, rebalances, kills, stops.

const brokers = inject('kafkaBrokers')
const generous = { timeoutMs: 60_000 }
const a = tenantNumbered(1)

describe.skipIf(!brokers)("the SDK's consumer", () => {
  const { admin, place, send, start } = consumerBench()

  it('events that Kafka no longer has are a gap: of a group that was away, and of one that begins late', async () => {
    const kept = { lastSequence: async () => '00000000000000000003' }
    const first = start()
    const placed = await send(...rows(a, 1, 3))
    await first.got(a, 3)
    await first.consumer.stop()
    await send(...rows(a, 4, 8))
    const { partition } = placed[0]!
    const { high } = (await admin.fetchTopicOffsets(place.topic)).find((it) => it.partition === partition)!
    await admin.deleteTopicRecords({ topic: place.topic, partitions: [{ partition, offset: String(Number(high) - 2) }] })
    const second = start({ groupId: first.groupId, ...kept })
    expect(await second.got(a, 2)).toEqual([7, 8])
    expect(second.gaps).toMatchObject([{ afterSequence: '00000000000000000003', beforeSequence: '00000000000000000007' }])
    const late = start({ lastSequence: async () => undefined })
    expect(await late.got(a, 2)).toEqual([7, 8])
    expect(late.gaps).toMatchObject([{ afterSequence: '00000000000000000000', beforeSequence: '00000000000000000007' }])
  })

  it('effects once over rebalances: a second consumer joins and leaves, twice, while events come', async () => {
    const tenants = upTo(9).map(tenantNumbered)
    const each = 160
    const groupId = `group-${randomUUID()}`
    // What a database does: the position and the effect in one transaction, which refuses a number that it has.
    const positions = new Map<string, string>()
    const effects = new Map(tenants.map((it) => [it, [] as number[]]))
    const join = () => {
      const own = { effects: 0 }
      const started = start({
        groupId,
        lastSequence: async ({ tenantId }) => positions.get(tenantId),
        handler: async ({ tenantId, sequence }) => {
          await new Promise((resolve) => setImmediate(resolve))
          if (sequence <= (positions.get(tenantId) ?? '')) return
          positions.set(tenantId, sequence)
          effects.get(tenantId)!.push(Number(sequence))
          own.effects += 1
        },
      })
      return { ...started, own }
    }
    const first = join()
    const others: ReturnType<typeof join>[] = []
    const settled = async (count: number) => {
      const [group] = (await admin.describeGroups([groupId])).groups
      return group!.state === 'Stable' && group!.members.length === count
    }
    let sent = 0
    const sendMore = async (count: number) => {
      for (const until = sent + count; sent < until; sent += 5) await send(...tenants.flatMap((it) => rows(it, sent + 1, sent + 5)))
    }
    const all = () => until(() => [...effects.values()].every((it) => it.length >= sent), generous)
    for (let round = 0; round < 4; round++) {
      const joins = round % 2 === 0
      if (joins) others.push(join())
      const left = joins ? undefined : others.at(-1)!.consumer.stop()
      await sendMore(each / 8) // while the group rebalances
      await left
      await until(() => settled(joins ? 2 : 1), generous)
      await sendMore(each / 8)
      await all()
    }
    for (const { own } of others) expect(own.effects).toBeGreaterThan(0)
    for (const it of effects.values()) expect(it).toEqual(upTo(each))
    expect([first, ...others].flatMap(({ gaps }) => gaps)).toEqual([])
  })

  it('killed in the handler: the next consumer of the group gets the event again', async () => {
    const groupId = `group-${randomUUID()}`
    await send(...rows(a, 1, 3))
    const script = fileURLToPath(new URL('../support/consumer-process.ts', import.meta.url))
    const child = spawn(process.execPath, ['--import', 'tsx', script, brokers!, place.topicPrefix, groupId], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    watchPid(child.pid!)
    const exited = new Promise((resolve) => child.once('exit', resolve))
    let output = ''
    child.stdout.on('data', (text) => {
      output += text
    })
    await until(() => output.includes('has 2'), generous).finally(() => child.kill('SIGKILL'))
    await exited
    forgetPid(child.pid!)
    const next = start({ groupId })
    await next.got(a, 2)
    await until(() => next.of(a).includes(3), generous)
    // Whether 1 was committed before the kill is open: it may come again, before the others and in order.
    expect(next.of(a).slice(-2)).toEqual([2, 3])
    expect(upTo(3).slice(-next.of(a).length)).toEqual(next.of(a))
  })

  it('stop lets the running handler finish, and commits it', async () => {
    let inside = false
    let finish = () => {}
    const held = new Promise<void>((resolve) => {
      finish = resolve
    })
    const first = start({
      handler: async (event) => {
        inside = true
        await held
        first.note(event)
      },
    })
    await send(...rows(a, 1, 2))
    await until(() => inside, generous)
    const stopped = first.consumer.stop()
    finish()
    await stopped
    expect(await first.outcome).toBe('stopped')
    expect(first.of(a)).toEqual([1])
    expect(await start({ groupId: first.groupId }).got(a, 1)).toEqual([2])
  })
})

describe.skipIf(!brokers)('a Kafka of its own', () => {
  let broker: KafkaBroker
  beforeAll(async () => {
    broker = await startKafka()
  })
  const { send, start } = consumerBench(async () => [broker.brokers])
  afterAll(() => broker?.stop())

  it('that dies and comes back: the consumer waits, and goes on without a gap', async () => {
    const { of, got, gaps, outcome, consumer } = start()
    await send(...rows(a, 1, 3))
    await got(a, 3)
    await broker.kill()
    await broker.restart()
    await until(() => send(...rows(a, 4, 5)), generous)
    await until(() => of(a).includes(5), generous)
    // What was not committed before may come again.
    expect([...new Set(of(a))]).toEqual(upTo(5))
    expect(gaps).toEqual([])
    await consumer.stop()
    expect(await outcome).toBe('stopped')
  })
})
