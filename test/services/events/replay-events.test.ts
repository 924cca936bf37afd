import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ReplayState } from '../../../gen/customer/event/v1/event.js'
import type { ReplayEventsRequest } from '../../../gen/customer/event/v1/event_service.js'
import { newReplay, replayEventsMax } from '../../../server/services/events/replays.rules.js'
import { refusal } from '../../support/refusal.js'
import { onboard, theClients, theSuperuser } from '../../support/rpc.js'
import { writingNothing, writtenBy } from '../../support/written.js'

const clients = theClients()
const { events, tenants } = clients
afterAll(() => clients.close())

const text = (sequence: number | bigint) => String(sequence).padStart(20, '0')
/** Four events. Where there is Kafka, a replay of them may be over at any moment. */
async function tenantOfFour(): Promise<string> {
  const { id } = await onboard(clients)
  await tenants.suspendTenant({ tenantId: id, reason: 'x' })
  await tenants.resumeTenant({ tenantId: id })
  return id
}
let tenantId: string
beforeAll(async () => {
  tenantId = await tenantOfFour()
})
const refused = (request: Partial<ReplayEventsRequest>) =>
  writingNothing(tenantId, () => refusal(events.replayEvents({ tenantId, ...request })))

it("OK: queued, from the oldest to the last, with its entry in the tenant's trail and no event", async () => {
  const own = await tenantOfFour()
  const {
    answer,
    events: emitted,
    audit,
  } = await writtenBy(own, () => events.replayEvents({ tenantId: own }, { 'x-request-id': 'replay-1' }))
  expect(answer).toMatchObject({
    replayId: expect.stringMatching(/^rpl_[0-9a-z]{26}$/),
    tenantId: own,
    state: ReplayState.REPLAY_STATE_QUEUED,
    sent: 0,
    afterSequence: text(0),
    untilSequence: text(4),
    endTime: undefined,
  })
  expect(emitted).toEqual([])
  expect(audit.map(({ entry }) => entry)).toMatchObject([
    { action: 'event.replay', tenant_id: own, request_id: 'replay-1', target: `replays/${answer.replayId}` },
  ])
  expect((await events.getDeliveryStatus({})).replays.map(({ replayId }) => replayId)).toContain(answer.replayId)
})

it('OK: a part of them', async () => {
  const own = await tenantOfFour()
  expect(await events.replayEvents({ tenantId: own, afterSequence: '1', untilSequence: text(3) })).toMatchObject({
    afterSequence: text(1),
    untilSequence: text(3),
  })
})

it('OK, done at once: no events, as often as wanted', async () => {
  for (const request of [{ afterSequence: '4' }, { afterSequence: '2', untilSequence: '2' }, { untilSequence: '0' }]) {
    const { answer } = await writtenBy(tenantId, () => events.replayEvents({ tenantId, ...request }))
    expect(answer).toMatchObject({ state: ReplayState.REPLAY_STATE_DONE, sent: 0, endTime: answer.createTime })
  }
})

it('OK, the first answer again: the same request_id, however far the replay is; another body is REQUEST_ID_REUSED', async () => {
  const own = await tenantOfFour()
  const requestId = randomUUID()
  const first = await events.replayEvents({ tenantId: own, requestId })
  expect(await writingNothing(own, () => events.replayEvents({ tenantId: own, requestId }))).toEqual(first)
  const reused = await refusal(events.replayEvents({ tenantId: own, afterSequence: '1', requestId }))
  expect(reused).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'REQUEST_ID_REUSED' })
})

it('OUT_OF_RANGE CURSOR_AHEAD: beyond the last event, either end', async () => {
  for (const request of [{ afterSequence: '5' }, { untilSequence: '5' }, { afterSequence: '9'.repeat(20) }]) {
    expect(await refused(request)).toMatchObject({ code: 'OUT_OF_RANGE', reason: 'CURSOR_AHEAD', metadata: { last_sequence: text(4) } })
  }
})

it('OUT_OF_RANGE CURSOR_EXPIRED: events that are no longer kept, either end, with the oldest that is', async () => {
  const own = await tenantOfFour()
  await theSuperuser().query('delete from platform.events where tenant_id = $1 and sequence < 3', [own])
  for (const request of [{ afterSequence: '0' }, { afterSequence: '1', untilSequence: '4' }, { untilSequence: '1' }]) {
    expect(await refusal(events.replayEvents({ tenantId: own, ...request }))).toMatchObject({
      code: 'OUT_OF_RANGE',
      reason: 'CURSOR_EXPIRED',
      metadata: { oldest_sequence: text(3) },
    })
  }
  expect(await events.replayEvents({ tenantId: own })).toMatchObject({ afterSequence: text(2), untilSequence: text(4) })
  await theSuperuser().query('delete from platform.events where tenant_id = $1', [own])
})

it('FAILED_PRECONDITION TENANT_DELETED', async () => {
  const own = await tenantOfFour()
  await tenants.deleteTenant({ tenantId: own })
  expect(await refusal(events.replayEvents({ tenantId: own }))).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'TENANT_DELETED' })
})

describe('INVALID_ARGUMENT', () => {
  it.each<[string, Partial<ReplayEventsRequest>]>([
    ['after_sequence', { afterSequence: '-1' }],
    ['after_sequence', { afterSequence: '1'.repeat(21) }],
    ['until_sequence', { untilSequence: 'x' }],
    ['until_sequence', { afterSequence: '3', untilSequence: '2' }],
    ['request_id', { requestId: 'x' }],
  ])('%s: %j', async (field, request) => {
    expect(await refused(request)).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', violations: [{ field }] })
  })

  it('more than 1,000,000 events, never fewer than were asked for', () => {
    const archive = { oldest_sequence: '11', last_sequence: String(replayEventsMax + 20) }
    const make = (afterSequence: string, untilSequence = '') =>
      newReplay('rpl', 'tnt', { afterSequence, untilSequence }, archive, new Date(0))
    expect(make('20')).toMatchObject({ after_sequence: '20', until_sequence: '1000020', state: 'QUEUED' })
    expect(make('', '1000010')).toMatchObject({ after_sequence: '10' })
    for (const [after, until] of [
      ['19', ''],
      ['', ''],
      ['10', '1000011'],
    ] as const) {
      expect(() => make(after, until)).toThrow(/more than 1000000 events/)
    }
  })
})
