import { afterAll, beforeAll, expect, it } from 'vitest'
import { type DeadLetter, DeadLetterState } from '../../../gen/customer/event/v1/event.js'
import type { ListDeadLettersRequest } from '../../../gen/customer/event/v1/event_service.js'
import { connect } from '../../support/client.js'
import { letterId, parkLetters } from '../../support/dead-letters.js'
import { eventRow } from '../../support/event-records.js'
import { makeKey } from '../../support/keys.js'
import { refusal } from '../../support/refusal.js'
import { onboard, theClients, thePool, theServer, theSuperuser } from '../../support/rpc.js'
import { writingNothing } from '../../support/written.js'

const clients = theClients()
const { events } = clients
afterAll(() => clients.close())

/** No list here looks beyond this tenant's. */
let tenantId: string
beforeAll(async () => {
  tenantId = (await onboard(clients)).id
  await parkLetters(theSuperuser(), tenantId, [
    { sequence: 10 },
    { sequence: 9, type: 'x'.repeat(300) },
    { sequence: 2, stream: 'security' },
    { sequence: 11, payload: '' },
  ])
  await theSuperuser().query(`update platform.dead_letters set redrive_time = now() where tenant_id = $1 and sequence = 11`, [tenantId])
})
const list = async (more: Partial<ListDeadLettersRequest> = {}) => (await events.listDeadLetters({ tenantId, ...more })).deadLetters
const numbers = (letters: readonly DeadLetter[]) => letters.map(({ sequence }) => Number(sequence))

it('OK: all of a letter but its payload', async () => {
  const [, letter] = await writingNothing(tenantId, () => list())
  const row = eventRow(tenantId, 10)
  expect(letter).toEqual({
    id: letterId(tenantId, 10),
    tenantId,
    topic: 'customer-management.domain.v1',
    sequence: '00000000000000000010',
    eventId: row.id,
    eventType: row.type,
    reason: 'refused',
    detail: 'MESSAGE_TOO_LARGE',
    payloadBytes: Buffer.byteLength(row.payload!),
    state: DeadLetterState.DEAD_LETTER_STATE_PARKED,
    eventTime: new Date('2026-11-25T10:58:39.143Z'),
    createTime: letter!.createTime,
    redriveTime: undefined,
  })
})

it('OK: by topic and number, whole and in pages of any size; what is malformed is cut', async () => {
  const all = await list()
  expect(numbers(all)).toEqual([9, 10, 11, 2])
  expect(all[0]!.eventType).toHaveLength(100)
  expect(all[3]).toMatchObject({ id: letterId(tenantId, 2, 'security'), topic: 'customer-management.security.v1' })
  for (const pageSize of [1, 2, 3, 4, 500, 501]) {
    const found: DeadLetter[] = []
    for (let pageToken = ''; ; ) {
      const page = await events.listDeadLetters({ tenantId, pageSize, pageToken })
      found.push(...page.deadLetters)
      pageToken = page.nextPageToken
      if (pageToken === '') break
      expect(page.deadLetters).toHaveLength(pageSize)
    }
    expect(found).toEqual(all)
  }
})

it('OK: by state; a tenant without letters has an empty list', async () => {
  const { DEAD_LETTER_STATE_PARKED, DEAD_LETTER_STATE_REDRIVING, DEAD_LETTER_STATE_REDRIVEN } = DeadLetterState
  expect(numbers(await list({ state: DEAD_LETTER_STATE_PARKED }))).toEqual([9, 10, 2])
  expect(numbers(await list({ state: DEAD_LETTER_STATE_PARKED, pageSize: 1 }))).toEqual([9])
  expect(await list({ state: DEAD_LETTER_STATE_REDRIVING })).toEqual([])
  expect(await list({ state: DEAD_LETTER_STATE_REDRIVEN })).toMatchObject([{ id: letterId(tenantId, 11), redriveTime: expect.any(Date) }])
  expect(await events.listDeadLetters({ tenantId: (await onboard(clients)).id })).toEqual({ deadLetters: [], nextPageToken: '' })
})

it('OK: of a deleted tenant', async () => {
  const { id } = await onboard(clients)
  await parkLetters(theSuperuser(), id, [{ sequence: 1 }])
  await clients.tenants.deleteTenant({ tenantId: id })
  expect(numbers(await list({ tenantId: id }))).toEqual([1])
})

it('C-014 PAGE_TOKEN_INVALID: of another caller, tenant or state', async () => {
  const { nextPageToken: pageToken } = await events.listDeadLetters({ tenantId, pageSize: 1 })
  const invalid = { code: 'INVALID_ARGUMENT', reason: 'PAGE_TOKEN_INVALID' }
  const changes: Partial<ListDeadLettersRequest>[] = [
    { tenantId: '' },
    { tenantId: (await onboard(clients)).id },
    { state: DeadLetterState.DEAD_LETTER_STATE_PARKED },
  ]
  for (const change of changes) expect(await refusal(events.listDeadLetters({ tenantId, pageToken, ...change }))).toMatchObject(invalid)
  const others = connect(theServer().address, (await makeKey(thePool(), ['platform-view-events'])).key)
  expect(await refusal(others.events.listDeadLetters({ tenantId, pageToken }))).toMatchObject(invalid)
  others.close()
})

it('INVALID_ARGUMENT: a tenant, size or state that is none', async () => {
  const violated = async (request: object) => (await refusal(events.listDeadLetters(request))).violations.map(({ field }) => field)
  expect(await violated({ tenantId: 'platform' })).toEqual(['tenant_id'])
  expect(await violated({ tenantId, pageSize: -1 })).toEqual(['page_size'])
})
