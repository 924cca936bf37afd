import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { DeadLetterState } from '../../../gen/customer/event/v1/event.js'
import type { RedriveDeadLettersRequest } from '../../../gen/customer/event/v1/event_service.js'
import { letterId, parkLetters } from '../../support/dead-letters.js'
import { refusal } from '../../support/refusal.js'
import { onboard, theClients, theSuperuser } from '../../support/rpc.js'
import { writingNothing } from '../../support/written.js'

const clients = theClients()
const { events } = clients
afterAll(() => clients.close())

let tenantId: string
beforeAll(async () => {
  tenantId = (await onboard(clients)).id
})
const park = (...sequences: number[]) =>
  parkLetters(
    theSuperuser(),
    tenantId,
    sequences.map((sequence) => ({ sequence })),
  )
const idOf = (sequence: number) => letterId(tenantId, sequence)
const redrive = (request: Partial<RedriveDeadLettersRequest>) => events.redriveDeadLetters(request)
const parked = async () =>
  (await events.listDeadLetters({ tenantId, state: DeadLetterState.DEAD_LETTER_STATE_PARKED })).deadLetters.map(({ sequence }) =>
    Number(sequence),
  )
/** Where there is Kafka, what was queued may have been sent by now. */
const queued = [DeadLetterState.DEAD_LETTER_STATE_REDRIVING, DeadLetterState.DEAD_LETTER_STATE_REDRIVEN]
const refused = { code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' }

it('OK: those that are named, and no others; the entry stands in the trail of the platform and names them', async () => {
  await park(1, 2, 3)
  const answer = await writingNothing(tenantId, () => redrive({ deadLetterIds: [idOf(1), idOf(3)] }))
  expect(answer).toEqual({ queued: 2, replayId: expect.stringMatching(/^rpl_[0-9a-z]{26}$/) })
  expect(await parked()).toEqual([2])
  const { deadLetters } = await events.listDeadLetters({ tenantId })
  for (const { sequence, state } of deadLetters) if (Number(sequence) !== 2) expect(queued).toContain(state)
  const { rows } = await theSuperuser().query(`select entry from platform.platform_audit where entry like $1`, [`%${idOf(1)}%`])
  expect(rows.map(({ entry }) => JSON.parse(entry))).toMatchObject([
    { action: 'dead-letter.redrive', tenant_id: 'platform', target: `deadLetters/${idOf(1)} deadLetters/${idOf(3)}` },
  ])
})

it('OK: all of a tenant that were never redriven; then none, writing nothing', async () => {
  await park(4, 5)
  expect(await redrive({ tenantId })).toMatchObject({ queued: 3 })
  expect(await parked()).toEqual([])
  expect(await redrive({ tenantId })).toEqual({ queued: 0, replayId: '' })
  expect(await redrive({ tenantId: (await onboard(clients)).id })).toEqual({ queued: 0, replayId: '' })
})

it('OK: again, by name, one that was redriven; one that is about to be is not counted', async () => {
  await park(6, 7)
  await theSuperuser().query('update platform.dead_letters set redrive_time = now() where tenant_id = $1 and sequence = 6', [tenantId])
  expect(await redrive({ tenantId })).toMatchObject({ queued: 1 })
  expect(await redrive({ deadLetterIds: [idOf(6)] })).toMatchObject({ queued: 1 })
  expect([0, 1]).toContain((await redrive({ deadLetterIds: [idOf(6)] })).queued)
})

it('OK, the first answer again: the same request_id', async () => {
  await park(8)
  const requestId = randomUUID()
  const first = await redrive({ deadLetterIds: [idOf(8)], requestId })
  expect(await redrive({ deadLetterIds: [idOf(8)], requestId })).toEqual(first)
  expect(await refusal(redrive({ tenantId, requestId }))).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'REQUEST_ID_REUSED' })
})

it('OK: several callers of the same letters at once; every letter is queued, none twice', async () => {
  const many = Array.from({ length: 50 }, (_, i) => 100 + i)
  await park(...many)
  const answers = await Promise.all(Array.from({ length: 4 }, () => redrive({ deadLetterIds: many.map(idOf) })))
  expect(answers.length).toBe(4)
  expect(await parked()).toEqual([])
})

it('NOT_FOUND DEAD_LETTER_NOT_FOUND: the first that there is not; nothing is queued then', async () => {
  await park(9)
  const unknown = [
    idOf(999_999),
    letterId(tenantId, 9, 'security'),
    letterId('tnt_00000000000000000000000000', 9),
    'dlt_platform_platform_999999',
  ]
  for (const id of unknown) {
    expect(await refusal(redrive({ deadLetterIds: [idOf(9), id] }))).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'DEAD_LETTER_NOT_FOUND',
      metadata: { dead_letter_id: id },
    })
  }
  expect(await parked()).toEqual([9])
})

it('INVALID_ARGUMENT: neither field, or both', async () => {
  expect(await refusal(redrive({}))).toMatchObject(refused)
  expect(await refusal(redrive({ tenantId, deadLetterIds: [idOf(1)] }))).toMatchObject(refused)
})

it('INVALID_ARGUMENT: more than 100 ids, one twice, one that is none', async () => {
  const many = Array.from({ length: 101 }, (_, i) => idOf(i + 1))
  expect(await refusal(redrive({ deadLetterIds: many }))).toMatchObject({ ...refused, violations: [{ field: 'dead_letter_ids' }] })
  expect(await refusal(redrive({ deadLetterIds: [idOf(1), idOf(1)] }))).toMatchObject(refused)
  const wrong = ['', 'dlt_x', `${idOf(1)}:x`, idOf(0), `${idOf(1)}${'0'.repeat(18)}`, letterId(tenantId, 1, 'audit')]
  for (const id of wrong) {
    expect(await refusal(redrive({ deadLetterIds: [id] })), id).toMatchObject({ ...refused, violations: [{ field: 'dead_letter_ids[0]' }] })
  }
})
