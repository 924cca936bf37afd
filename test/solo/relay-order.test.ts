import type pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPool } from '../../server/db/pool.js'
import type { Lease } from '../../server/jobs/job.js'
import type { EventRecord } from '../../server/outbox/envelope.js'
import { createRelay } from '../../server/outbox/relay.job.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { mutate } from '../support/load.js'
import { theCluster } from '../support/solo.js'
import { type Bench, openBench } from '../support/transactions.js'
import { until } from '../support/until.js'

// The real relay on a real database before a sender of the test's own: the next batch is read while one is sent, and must not overtake it.

const generous = { timeoutMs: 20_000 }
const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const { signal } = new AbortController()
let database: TestDatabase
let bench: Bench
let pool: pg.Pool
let superuser: pg.Pool
beforeAll(async () => {
  database = await createDatabase(theCluster())
  bench = await openBench(database)
  pool = openPool({ url: database.urls.relay, max: 2 })
  superuser = openPool({ url: database.superuserUrl, max: 1 })
  await superuser.query(
    `insert into platform.leases (name, holder, epoch, expire_time) values ('relay', 'me', 1, now() + interval '1 hour')`,
  )
})
afterAll(async () => {
  await bench?.close()
  await Promise.all([pool?.end(), superuser?.end()])
  await database?.drop()
})

/** Relays 60 events of a new tenant, ten a batch, until all are marked; what the sender took, in order. */
async function relayed(judge: (nthSend: number) => Error | undefined, msLeft: () => number = () => 3_000) {
  const tenantId = await bench.onboard()
  for (let nth = 0; nth < 3; nth++) await mutate(bench, tenantId, 20)
  const taken: number[] = []
  let sends = 0
  const sender = {
    ready: async () => {},
    async send(records: readonly EventRecord[]) {
      sends += 1
      const problem = judge(sends)
      if (problem) throw problem
      taken.push(...records.map(({ headers }) => Number(headers['ce_sequence'])))
    },
    close: async () => {},
  }
  const lease: Lease = { name: 'relay', holder: 'me', epoch: '1', msLeft }
  const relay = createRelay({ pool, sender, topics: topicsOf(''), log: quiet, pollMs: 1, batchMax: 10 })
  const position = async () =>
    (await superuser.query('select sent from platform.relay_positions where tenant_id = $1', [tenantId])).rows[0]?.sent
  await until(async () => {
    await relay.run({ signal, lease })
    return (await position()) === '60'
  }, generous)
  return taken
}
const firsts = (taken: readonly number[]) => [...new Set(taken)]
const inOrder = Array.from({ length: 60 }, (_, i) => i + 1)

it('C-079 lost 0, reordered 0: whichever send fails', async () => {
  for (let failing = 1; failing <= 7; failing++) {
    const taken = await relayed((nth) => (nth === failing ? new Error('the broker is away') : undefined))
    expect(firsts(taken), `send ${failing}`).toEqual(inOrder)
  }
})

it('C-079 lost 0, reordered 0: whenever the lease looks too short for a send, and is renewed behind it', async () => {
  for (let short = 1; short <= 16; short++) {
    let asked = 0
    const taken = await relayed(
      () => undefined,
      () => {
        asked += 1
        return asked === short ? 500 : 3_000
      },
    )
    expect(taken, `look ${short}`).toEqual(inOrder)
  }
})

it('C-079 a lease that another replica has: positions do not move, and the run ends', async () => {
  await superuser.query(`update platform.leases set epoch = 2 where name = 'relay'`)
  const tenantId = await bench.onboard()
  await mutate(bench, tenantId, 1)
  const sender = { ready: async () => {}, send: async () => {}, close: async () => {} }
  const relay = createRelay({ pool, sender, topics: topicsOf(''), log: quiet })
  const lease: Lease = { name: 'relay', holder: 'me', epoch: '1', msLeft: () => 3_000 }
  await expect(relay.run({ signal, lease })).rejects.toThrow('lost its lease')
  expect((await superuser.query('select from platform.relay_positions where tenant_id = $1', [tenantId])).rowCount).toBe(0)
})
