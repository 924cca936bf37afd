import { describe, expect, it } from 'vitest'
import type { CustomerEvent } from '../../../clients/typescript/src/events/event.js'
import {
  ConsumerError,
  createIntake,
  type Gap,
  type Handlers,
  type Poison,
  type Position,
} from '../../../clients/typescript/src/events/intake.js'
import { parkedRow } from '../../../server/outbox/envelope.js'
import { eventRow, received, tenantNumbered } from '../../support/event-records.js'

const [a, b] = [tenantNumbered(1), tenantNumbered(2)]
const domain = 'customer-management.domain.v1'
const security = 'customer-management.security.v1'
const replay = 'customer-management.replay.v1'

/** An intake and all that it handed on: `1`, `gap 1-3`, `poison 2 record`. */
function setUp(handlers: Partial<Handlers> = {}) {
  const told: string[] = []
  const poisons: Poison[] = []
  const positions: Position[] = []
  const short = (it: CustomerEvent) => `${it.tenantId === a ? '' : 'b'}${Number(it.sequence)}`
  const intake = createIntake(
    {
      handler: (event, position) => {
        told.push(short(event))
        positions.push(position)
      },
      onGap: (gap: Gap) => void told.push(`gap ${Number(gap.afterSequence)}-${Number(gap.beforeSequence)}`),
      onPoison: (poison) => {
        told.push(`poison ${Number(poison.position?.sequence)} ${poison.reason}`)
        poisons.push(poison)
      },
      ...handlers,
    },
    (topic) => (topic === domain ? 'domain' : topic === security ? 'security' : undefined),
    () => 1,
  )
  const take = async (...numbers: number[]) => {
    for (const number of numbers) expect(await intake.take(received(eventRow(a, number)))).toBe(0)
    return told
  }
  return { intake, take, told, poisons, positions, short }
}
const broken = (sequence: number) => ({ ...received(eventRow(a, sequence)), value: Buffer.from('{') })

describe('in order', () => {
  it('each event once, with its position; a repeat is dropped', async () => {
    const { take, positions } = setUp()
    expect(await take(1, 2, 1, 2, 3, 3, 1)).toEqual(['1', '2', '3'])
    expect(positions[2]).toEqual({
      tenantId: a,
      stream: 'domain',
      sequence: '00000000000000000003',
      topic: domain,
      partition: 0,
      offset: '3',
    })
  })

  it('tenants and streams count for themselves', async () => {
    const { intake, take, told } = setUp()
    await take(1)
    await intake.take(received(eventRow(b, 1)))
    await intake.take(received(eventRow(a, 1, { stream: 'security' }), security))
    await take(2)
    expect(told).toEqual(['1', 'b1', '1', '2'])
  })

  it('sequences beyond 2^53 are told apart', async () => {
    const { intake, positions } = setUp()
    for (const sequence of ['9007199254740992', '9007199254740993', '9007199254740993']) {
      await intake.take(received(eventRow(a, 1, { sequence })))
    }
    expect(positions.map(({ sequence }) => sequence)).toEqual(['00009007199254740992', '00009007199254740993'])
  })
})

describe('gaps', () => {
  it('are told before the event behind them, once, and the event is handled', async () => {
    expect(await setUp().take(1, 4, 5, 9)).toEqual(['1', 'gap 1-4', '4', '5', 'gap 5-9', '9'])
  })

  it('are told once though the event behind them is tried again', async () => {
    let fails = 2
    const { intake, told, short } = setUp({
      handler: (event) => {
        told.push(short(event))
        if (event.sequence.endsWith('4') && fails-- > 0) throw new Error('not yet')
      },
    })
    for (const sequence of [1, 4, 4, 4]) await intake.take(received(eventRow(a, sequence)))
    expect(told).toEqual(['1', 'gap 1-4', '4', '4', '4'])
  })

  it('an event.parked record is none, and reaches the handler', async () => {
    const types: string[] = []
    const { intake, told } = setUp({ handler: ({ type }) => void types.push(type) })
    await intake.take(received(eventRow(a, 1)))
    await intake.take(received(parkedRow(eventRow(a, 2), 'malformed')))
    await intake.take(received(eventRow(a, 3)))
    expect(types.map((type) => type.split('.').slice(3, 5).join('.'))).toEqual(['tenant.updated', 'event.parked', 'tenant.updated'])
    expect(told).toEqual([])
  })

  it('without lastSequence what comes first counts as the next, also after a rebalance', async () => {
    const { intake, take, told } = setUp()
    await take(7, 8)
    intake.forget()
    await take(8, 12)
    expect(told).toEqual(['7', '8', '8', 'gap 8-12', '12'])
  })

  it('with lastSequence repeats and gaps over a restart are seen, and what was never seen begins at 1', async () => {
    const kept = new Map([[a, '00000000000000000005']])
    const asked: string[] = []
    const { intake, take, told } = setUp({
      lastSequence: async ({ tenantId, stream }) => {
        asked.push(`${stream} ${tenantId}`)
        return kept.get(tenantId)
      },
    })
    await take(4, 5, 6)
    await intake.take(received(eventRow(b, 3)))
    kept.set(a, '00000000000000000007')
    intake.forget()
    await take(7, 9)
    expect(told).toEqual(['6', 'gap 0-3', 'b3', 'gap 7-9', '9'])
    expect(asked).toEqual([`domain ${a}`, `domain ${b}`, `domain ${a}`])
  })

  it('a lastSequence or onGap that throws is tried again like a handler', async () => {
    let fails = 2
    const flaky = () => {
      if (fails-- > 0) throw new Error('the database is away')
    }
    const { intake, told } = setUp({
      lastSequence: async () => {
        flaky()
        return '2'
      },
    })
    const delays = []
    for (let nth = 0; nth < 3; nth++) delays.push(await intake.take(received(eventRow(a, 3))))
    expect(delays).toEqual([100, 200, 0])
    expect(told).toEqual(['3'])
  })
})

describe('a handler that throws', () => {
  it('gets the event again after growing delays, and nothing behind it before', async () => {
    let fails = 3
    const { intake, take, told, short } = setUp({
      handler: (event) => {
        if (fails-- > 0) throw new Error('not yet')
        told.push(short(event))
      },
    })
    const delays = []
    for (let nth = 0; nth < 4; nth++) delays.push(await intake.take(received(eventRow(a, 1))))
    expect(delays).toEqual([100, 200, 400, 0])
    expect(await take(2)).toEqual(['1', '2'])
  })

  it('as often as attemptsMax: the event is parked with what was thrown, and what is behind it passes without a gap', async () => {
    const thrown = new Error('never')
    const { intake, take, told, poisons } = setUp({
      attemptsMax: 3,
      handler: ({ sequence }) => {
        if (sequence.endsWith('2')) throw thrown
      },
    })
    await take(1)
    expect(await intake.take(received(eventRow(a, 2)))).toBeGreaterThan(0)
    expect(await intake.take(received(eventRow(a, 2)))).toBeGreaterThan(0)
    await take(2, 3)
    expect(told).toEqual(['poison 2 handler'])
    expect(poisons[0]).toMatchObject({ error: thrown, event: { sequence: '00000000000000000002' }, record: { offset: '2' } })
  })

  it('the delay is 30 s at most', async () => {
    const { intake } = setUp({ attemptsMax: Number.POSITIVE_INFINITY, handler: () => Promise.reject(new Error('never')) })
    let last = 0
    for (let nth = 0; nth < 2_000; nth++) last = await intake.take(received(eventRow(a, 1)))
    expect(last).toBe(30_000)
  })

  it('ConsumerError: nobody parks, or parking fails; the same record comes again', async () => {
    const failing = {
      attemptsMax: 1,
      handler: () => {
        throw new Error('never')
      },
    }
    const none = setUp({ ...failing, onPoison: undefined })
    await expect(none.intake.take(received(eventRow(a, 1)))).rejects.toThrow(
      new ConsumerError(`${domain}/0 offset 1 cannot be handled: never`),
    )
    const full = new Error('the disk is full')
    const unable = setUp({ ...failing, onPoison: () => Promise.reject(full) })
    await expect(unable.intake.take(received(eventRow(a, 1)))).rejects.toMatchObject({ name: 'ConsumerError', cause: full })
    await expect(unable.intake.take(received(eventRow(a, 1)))).rejects.toMatchObject({ name: 'ConsumerError' })
  })
})

describe('poison', () => {
  it('broken JSON takes its number: no gap behind it, and its repeat is dropped', async () => {
    const { intake, take, told, poisons } = setUp()
    await take(1)
    expect(await intake.take(broken(2))).toBe(0)
    expect(await intake.take(broken(2))).toBe(0)
    await take(3)
    expect(told).toEqual(['1', 'poison 2 record', '3'])
    expect(poisons[0]).toMatchObject({ event: undefined, position: { sequence: '00000000000000000002' }, record: { key: Buffer.from(a) } })
    expect(String(poisons[0]!.error)).toContain('no JSON')
  })

  it('an envelope that tells no number is parked without a position, and leaves a gap', async () => {
    const { intake, take, told, poisons } = setUp()
    await take(1)
    expect(await intake.take({ ...broken(2), headers: {} })).toBe(0)
    await take(3)
    expect(told).toEqual(['1', 'poison NaN record', 'gap 1-3', '3'])
    expect(poisons[0]!.position).toBeUndefined()
  })

  it('ConsumerError: nobody parks', async () => {
    const { intake } = setUp({ onPoison: undefined })
    await expect(intake.take(broken(1))).rejects.toThrow(/offset 1 cannot be handled: the value is no JSON/)
  })
})

describe('the topic of replays', () => {
  const again = (sequence: number) => received(eventRow(a, sequence), replay)
  it('hands over everything, also what was seen and out of order, and moves no position', async () => {
    const replayed: number[] = []
    const { intake, take, told } = setUp({ replayed: ({ sequence }) => void replayed.push(Number(sequence)) })
    await take(1, 2, 3)
    for (const sequence of [1, 2, 2, 7, 3]) expect(await intake.take(again(sequence))).toBe(0)
    await take(4)
    expect(replayed).toEqual([1, 2, 2, 7, 3])
    expect(told).toEqual(['1', '2', '3', '4'])
  })

  it('is tried again and parked like others, without a position', async () => {
    const { intake, told } = setUp({ attemptsMax: 2, replayed: () => Promise.reject(new Error('no')) })
    expect([await intake.take(again(1)), await intake.take(again(1))]).toEqual([100, 0])
    expect(told).toEqual(['poison NaN handler'])
  })
})
