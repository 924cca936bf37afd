import type pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { inPlatform, inTenant } from '../../server/db/in-tenant.js'
import { openPool } from '../../server/db/pool.js'
import type { Lease } from '../../server/jobs/job.js'
import { newId } from '../../server/keys/ids.js'
import type { EventRecord } from '../../server/outbox/envelope.js'
import { RecordRefused } from '../../server/outbox/kafka.js'
import { createReplay } from '../../server/outbox/replay.job.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { findParked, insertRedrives } from '../../server/services/events/dead-letters.repo.js'
import { insertReplay, readArchive } from '../../server/services/events/replays.repo.js'
import { newReplay } from '../../server/services/events/replays.rules.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { parkLetters } from '../support/dead-letters.js'
import { mutate } from '../support/load.js'
import { theCluster } from '../support/solo.js'
import { type Bench, openBench } from '../support/transactions.js'
import { until } from '../support/until.js'

// The real job on a real database before a sender of the test's own: whatever fails, nothing counts as sent that was not.

const generous = { timeoutMs: 30_000 }
const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const { signal } = new AbortController()
const inOrder = Array.from({ length: 60 }, (_, i) => i + 1)
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
    `insert into platform.leases (name, holder, epoch, expire_time) values ('replay', 'me', 1, now() + interval '1 hour')`,
  )
})
afterAll(async () => {
  await bench?.close()
  await Promise.all([pool?.end(), superuser?.end()])
  await database?.drop()
})

const lease = (msLeft: () => number = () => 3_000): Lease => ({ name: 'replay', holder: 'me', epoch: '1', msLeft })
const open = async (): Promise<number> => {
  const { rows } = await superuser.query(
    `select (select count(*) from platform.replays where end_time is null)::int + (select count(*) from platform.redrives)::int as open`,
  )
  return rows[0].open
}

/** A job whose sends are judged, by their number from 1; and what its sender took, in order. */
function job(judge: (nthSend: number, records: readonly EventRecord[]) => Error | undefined) {
  const taken: EventRecord[] = []
  let sends = 0
  const sender = {
    ready: async () => {},
    async send(records: readonly EventRecord[]) {
      sends += 1
      const problem = judge(sends, records)
      if (problem) throw problem
      taken.push(...records)
    },
    close: async () => {},
  }
  const replay = createReplay({ pool, sender, topics: topicsOf(''), log: quiet, batchMax: 10 })
  const of = (tenantId: string) => taken.filter(({ key }) => key === tenantId).map(({ headers }) => Number(headers['ce_sequence']))
  return { replay, of, taken }
}

async function replayed(tenantId: string): Promise<void> {
  await inTenant(bench.db, bench.call({ tenantId }), async (tx) => {
    const everything = { afterSequence: '', untilSequence: '' }
    insertReplay(tx, newReplay(newId('rpl'), tenantId, everything, await readArchive(tx), await tx.now))
  })
}
const redriven = (tenantId: string) =>
  inPlatform(bench.db, bench.call(), async (tx) => insertRedrives(tx, await findParked(tx, tenantId, 10_000), newId('rpl')))

/** Two replays of 60 events and 60 letters, ten a batch, until nothing is open. */
async function runAll(judge: Parameters<typeof job>[0], msLeft?: () => number) {
  const tenantIds = [await bench.onboard(), await bench.onboard(), await bench.onboard()] as const
  for (const tenantId of tenantIds.slice(0, 2)) {
    await mutate(bench, tenantId, 60)
    await replayed(tenantId)
  }
  await parkLetters(
    superuser,
    tenantIds[2],
    inOrder.map((sequence) => ({ sequence })),
  )
  await redriven(tenantIds[2])
  const { replay, of, taken } = job(judge)
  await until(async () => {
    await replay.run({ signal, lease: lease(msLeft) })
    return (await open()) === 0
  }, generous)
  return { firsts: tenantIds.map((it) => [...new Set(of(it))]), taken }
}

it('C-079 lost 0, reordered 0: whichever send fails, and nobody knows what arrived', async () => {
  for (let failing = 1; failing <= 19; failing++) {
    const { firsts } = await runAll((nth) => (nth === failing ? new Error('the broker is away') : undefined))
    expect(firsts, `send ${failing}`).toEqual([inOrder, inOrder, inOrder])
  }
})

it('C-079 lost 0, reordered 0: whenever the lease looks too short for a send', async () => {
  for (let short = 1; short <= 20; short++) {
    let asked = 0
    const { firsts, taken } = await runAll(
      () => undefined,
      () => {
        asked += 1
        return asked === short ? 500 : 3_000
      },
    )
    expect(firsts, `look ${short}`).toEqual([inOrder, inOrder, inOrder])
    expect(taken, `look ${short}`).toHaveLength(180)
  }
})

it('letters and replays take turns, a batch each', async () => {
  const { taken } = await runAll(() => undefined)
  const turns = taken.map(({ key }) => key).filter((key, i, keys) => key !== keys[i - 1])
  expect(new Set(turns.slice(0, 4)).size).toBe(3)
  expect(turns.length).toBeGreaterThan(12)
})

it('a letter that the broker refuses is not redriven, and those behind it are', async () => {
  const tenantId = await bench.onboard()
  await parkLetters(superuser, tenantId, [{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }])
  await redriven(tenantId)
  const refusing = job((_, records) =>
    records.some(({ headers }) => headers['ce_id']?.endsWith('2') && !headers['ce_type']?.includes('parked'))
      ? new RecordRefused('MESSAGE_TOO_LARGE')
      : undefined,
  )
  await refusing.replay.run({ signal, lease: lease() })
  const { rows } = await superuser.query(
    'select sequence, redrive_time is not null as sent from platform.dead_letters where tenant_id = $1 order by sequence',
    [tenantId],
  )
  expect(rows).toEqual([
    { sequence: '1', sent: true },
    { sequence: '2', sent: false },
    { sequence: '3', sent: true },
  ])
  expect(await open()).toBe(0)
})

it('C-079 a lease that another replica has: nothing counts as sent, and the run ends', async () => {
  await superuser.query(`update platform.leases set epoch = 2 where name = 'replay'`)
  const [tenantId, letters] = [await bench.onboard(), await bench.onboard()]
  await mutate(bench, tenantId, 5)
  await replayed(tenantId)
  await expect(job(() => undefined).replay.run({ signal, lease: lease() })).rejects.toThrow('lost its lease')
  expect((await superuser.query('select position from platform.replays where tenant_id = $1', [tenantId])).rows).toEqual([
    { position: '0' },
  ])
  await parkLetters(superuser, letters, [{ sequence: 1 }])
  await redriven(letters)
  await expect(job(() => undefined).replay.run({ signal, lease: lease() })).rejects.toThrow('lost its lease')
  expect((await superuser.query('select from platform.redrives')).rowCount).toBe(1)
})
