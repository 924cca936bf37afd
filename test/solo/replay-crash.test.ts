import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { inPlatform, inTenant } from '../../server/db/in-tenant.js'
import { openPool } from '../../server/db/pool.js'
import { newId } from '../../server/keys/ids.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { findParked, insertRedrives } from '../../server/services/events/dead-letters.repo.js'
import { insertReplay, readArchive } from '../../server/services/events/replays.repo.js'
import { newReplay } from '../../server/services/events/replays.rules.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { parkLetters } from '../support/dead-letters.js'
import { faultRun } from '../support/fault-run.js'
import { mutate } from '../support/load.js'
import { replicasOf } from '../support/relay-replica.js'
import { theCluster } from '../support/solo.js'
import { readTopics } from '../support/topic-reader.js'
import { type Bench, openBench } from '../support/transactions.js'
import { until } from '../support/until.js'

// Two built servers, of which the one that replays is killed, again and again, and a consumer of the topic of replays.

const full = process.env['N'] === 'full'
const [each, letters, kills] = full ? [20_000, 1_000, 20] : [3_000, 250, 3]
const brokers = inject('kafkaBrokers')
const generous = { timeoutMs: 120_000 }
const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1)

describe.skipIf(!brokers)('replays and redrives', () => {
  let database: TestDatabase
  let superuser: pg.Pool
  let bench: Bench
  beforeAll(async () => {
    database = await createDatabase(theCluster())
    superuser = openPool({ url: database.superuserUrl, max: 2 })
    bench = await openBench(database)
  })
  afterAll(async () => {
    await bench?.close()
    await superuser?.end()
    await database?.drop()
  })

  const replay = (tenantId: string) =>
    inTenant(bench.db, bench.call({ tenantId }), async (tx) => {
      const everything = { afterSequence: '', untilSequence: '' }
      insertReplay(tx, newReplay(newId('rpl'), tenantId, everything, await readArchive(tx), await tx.now))
    })
  const redrive = (tenantId: string) =>
    inPlatform(bench.db, bench.call(), async (tx) => insertRedrives(tx, await findParked(tx, tenantId, 10_000), newId('rpl')))

  it('F-26 C-079 lost 0, reordered 0: the replaying process is killed at random, also between a send and its mark', {
    timeout: 900_000,
  }, async () => {
    const fault = faultRun('F-26')
    const { random } = fault
    const topicPrefix = `f-26-${randomUUID().slice(0, 8)}.`
    const [replayed, redriven] = [
      await Promise.all(upTo(4).map(() => bench.onboard())),
      await Promise.all(upTo(2).map(() => bench.onboard())),
    ]
    for (const tenantId of replayed) for (let nth = 0; nth < each; nth += 500) await mutate(bench, tenantId, 500)
    for (const tenantId of redriven) {
      await parkLetters(
        superuser,
        tenantId,
        upTo(letters).map((sequence) => ({ sequence })),
      )
    }
    const replicas = replicasOf(database, brokers!, topicPrefix)
    try {
      await Promise.all([replicas.start(), replicas.start()])
      const reader = await readTopics({ brokers: brokers!, topics: [topicsOf(topicPrefix).replay], keep: false })
      try {
        const holder = () =>
          until(async () => {
            const { rows } = await superuser.query(`select holder from platform.leases where name = 'replay' and expire_time > now()`)
            const pid = Number(/-(\d+)-[0-9a-f]+$/.exec(rows[0]?.holder ?? '')?.[1])
            return [...replicas.all].find((replica) => replica.pid === pid)
          }, generous)
        const open = async (): Promise<number> => {
          const { rows } = await superuser.query(
            `select (select count(*) from platform.replays where end_time is null)::int + (select count(*) from platform.redrives)::int as open`,
          )
          return rows[0].open
        }
        await holder()
        await Promise.all([...replayed.map(replay), ...redriven.map(redrive)])
        let inTheMidst = 0
        for (let round = 1; round <= kills; round++) {
          const before = reader.tally().distinct
          const victim = await holder()
          await until(async () => reader.tally().distinct > before || (await open()) === 0, generous)
          const signalled = victim.signalAt(1 + Math.floor(random() * 200), 'SIGKILL', random() < 0.3 ? 0 : random() * 15)
          await Promise.race([signalled, victim.server.exited])
          await victim.server.exited
          if ((await open()) > 0) inTheMidst += 1
          await replicas.start()
        }
        fault.recovering()
        await until(async () => (await open()) === 0, generous)
        const all = replayed.length * each + redriven.length * letters
        await until(() => reader.tally().distinct >= all, generous).catch(() => {})
        const { distinct, reordered, repeats } = reader.tally()
        fault.report(all, { lost: all - distinct, reordered }, { repeats, kills, inTheMidst })
        expect({ distinct, reordered }).toEqual({ distinct: all, reordered: 0 })
        const { rows } = await superuser.query('select state, position from platform.replays')
        expect(rows).toEqual(replayed.map(() => ({ state: 'DONE', position: String(each) })))
        expect((await superuser.query('select from platform.dead_letters where redrive_time is null')).rowCount).toBe(0)
        expect(inTheMidst).toBeGreaterThan(0)
      } finally {
        await reader.stop()
      }
    } finally {
      await replicas.end()
    }
  })
})
