import { expect, inject, it } from 'vitest'
import { mutate } from '../support/load.js'
import { startSolo } from '../support/solo.js'
import { openBench } from '../support/transactions.js'
import { until } from '../support/until.js'

const generous = { timeoutMs: 60_000 }

it('without Kafka: all is pending, since the first of them; nobody relays', async () => {
  const solo = await startSolo()
  const bench = await openBench(solo.database)
  try {
    const status = () => solo.clients.events.getDeliveryStatus({})
    const none = { pendingEvents: '0', oldestPendingTime: undefined, lastSentTime: undefined }
    expect(await status()).toMatchObject({
      topics: [none, none, none],
      relayHeld: false,
      relayHolder: '',
      relayExpireTime: undefined,
      replays: [],
    })
    const tenantIds = [await bench.onboard(), await bench.onboard(), await bench.onboard()]
    for (const tenantId of tenantIds) await mutate(bench, tenantId, 5)
    const { rows } = await solo.superuser.query('select tenant_id, sequence, time from platform.events order by time')
    expect((await status()).topics).toMatchObject([{ pendingEvents: '15', oldestPendingTime: rows[0].time }, none, none])
    // As a relay does that got so far with one of them, and through with another.
    await solo.superuser.query(
      `insert into platform.relay_positions (tenant_id, stream, sent) values ($1, 'domain', 2), ($2, 'domain', 5)`,
      [tenantIds[0], tenantIds[1]],
    )
    const third = rows.find((row) => row.tenant_id === tenantIds[0] && row.sequence === '3')
    const [domain] = (await status()).topics
    expect(domain).toMatchObject({ pendingEvents: '8', oldestPendingTime: third.time })
    expect(domain!.lastSentTime).toBeInstanceOf(Date)
  } finally {
    await bench.close()
    await solo.stop()
  }
})

it.skipIf(!inject('kafkaBrokers'))(
  'with Kafka: nothing stays pending, the holder of the relay is named, and a drain releases it',
  async () => {
    const solo = await startSolo({ kafka: true })
    const bench = await openBench(solo.database)
    const beside = await startSolo({ beside: solo })
    try {
      const status = () => beside.clients.events.getDeliveryStatus({})
      await mutate(bench, await bench.onboard(), 5)
      await until(async () => (await status()).topics[0]!.pendingEvents === '0', generous)
      const { topics, relayHeld, relayHolder, relayExpireTime } = await status()
      expect(topics[0]).toMatchObject({ oldestPendingTime: undefined, lastSentTime: expect.any(Date) })
      expect(relayHeld).toBe(true)
      expect(relayHolder).toContain(`-${process.pid}-`)
      expect(relayExpireTime).toBeInstanceOf(Date)
      await solo.app.stop()
      expect(await status()).toMatchObject({ relayHeld: false, relayHolder, relayExpireTime: undefined })
    } finally {
      await bench.close()
      await beside.stop()
      await solo.stop()
    }
  },
)
