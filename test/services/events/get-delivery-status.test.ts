import { afterAll, expect, it } from 'vitest'
import { theClients } from '../../support/rpc.js'

const clients = theClients()
afterAll(() => clients.close())

// What the figures say: test/solo/delivery-status.test.ts, in a database where nobody else writes.

it('OK: three topics in their order, whether Kafka is there or not', async () => {
  const { topics, relayHeld, relayHolder, replays } = await clients.events.getDeliveryStatus({})
  expect(topics.map(({ topic }) => topic)).toEqual([
    'customer-management.domain.v1',
    'customer-management.security.v1',
    'customer-management.platform.v1',
  ])
  for (const { pendingEvents } of topics) expect(pendingEvents).toMatch(/^\d+$/)
  if (relayHeld) expect(relayHolder).not.toBe('')
  expect(replays.length).toBeLessThanOrEqual(100)
})
