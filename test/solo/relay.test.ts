import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { openPool } from '../../server/db/pool.js'
import { topicsOf } from '../../server/outbox/topics.js'
import { createDatabase, type TestDatabase } from '../support/databases.js'
import { faultRun } from '../support/fault-run.js'
import { type Load, lostOf, startLoad } from '../support/load.js'
import { type Replica, type Replicas, replicasOf } from '../support/relay-replica.js'
import { theCluster } from '../support/solo.js'
import { readTopics, type TopicReader } from '../support/topic-reader.js'
import { type Bench, openBench } from '../support/transactions.js'
import { until } from '../support/until.js'

// Two built servers under SIGKILL and SIGSTOP, the test's own writers, and a consumer that knows nothing of either.

const full = process.env['N'] === 'full'
const n = full ? 100_000 : 1_000
const tenantsCount = 8
const brokers = inject('kafkaBrokers')
const generous = { timeoutMs: 60_000 }

/** At the message itself, or in the milliseconds in which the relay waits for PostgreSQL and sends. */
const delayOf = (random: () => number) => (random() < 0.3 ? 0 : random() * 15)

describe.skipIf(!brokers)('two relays', () => {
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

  interface Run {
    readonly random: () => number
    readonly replicas: Replicas
    readonly reader: TopicReader
    readonly load: Load
    /** The one whose lease lasts. */
    holder(): Promise<Replica>
    other(than: Replica): Replica
  }

  /** Writes while `hurt` runs and until `n` events are committed; then all must have come, in order. */
  async function survive(name: string, hurt: (run: Run) => Promise<Record<string, unknown>>) {
    const fault = faultRun(name)
    const { random } = fault
    const topicPrefix = `${name.toLowerCase()}-${Date.now()}.`
    const replicas = replicasOf(database, brokers!, topicPrefix)
    try {
      await Promise.all([replicas.start(), replicas.start()])
      const reader = await readTopics({ brokers: brokers!, topics: Object.values(topicsOf(topicPrefix).byStream), keep: false })
      try {
        const tenantIds = await Promise.all(Array.from({ length: tenantsCount }, () => bench.onboard()))
        const ahead = (total: number) => total - reader.tally().distinct > n / 2
        const load = startLoad(bench, tenantIds, { random, ahead })
        const holder = () =>
          until(async () => {
            const { rows } = await superuser.query(`select holder from platform.leases where name = 'relay' and expire_time > now()`)
            const pid = Number(/-(\d+)-[0-9a-f]+$/.exec(rows[0]?.holder ?? '')?.[1])
            return [...replicas.all].find((replica) => replica.pid === pid)
          }, generous)
        const other = (than: Replica) => [...replicas.all].find((replica) => replica !== than)!
        const figures = await hurt({ random, replicas, reader, load, holder, other })
        fault.recovering()
        await until(() => load.total() >= n, { timeoutMs: full ? 300_000 : 30_000 })
        await load.stop()
        await until(() => reader.tally().distinct >= load.total(), generous).catch(() => {})
        const { distinct, reordered, repeats } = reader.tally()
        const lost = lostOf(load, reader)
        fault.report(load.total(), { lost, reordered }, { repeats, ...figures })
        expect(load.failures).toEqual([])
        expect({ lost, reordered, distinct }).toEqual({ lost: 0, reordered: 0, distinct: load.total() })
      } finally {
        await reader.stop()
      }
    } finally {
      await replicas.end()
    }
  }

  it('F-07 C-079 lost 0, reordered 0: relays are killed at random, also between publish and mark', { timeout: 900_000 }, async () => {
    const kills = full ? 30 : 3
    await survive('F-07', async ({ random, replicas, reader, load, holder, other }) => {
      const killed = { 'of the holder, at a message': 0, 'of the holder': 0, 'of the other': 0 }
      for (let round = 1; round <= kills; round++) {
        await until(() => reader.tally().distinct >= (round * n) / (kills + 1) || load.total() >= 2 * n, generous)
        const held = await holder()
        const dice = random()
        const victim = dice < 0.8 ? held : other(held)
        if (dice < 0.6) {
          killed['of the holder, at a message'] += 1
          await Promise.race([victim.signalAt(1 + Math.floor(random() * 200), 'SIGKILL', delayOf(random)), victim.server.exited])
        } else {
          killed[dice < 0.8 ? 'of the holder' : 'of the other'] += 1
          victim.signal('SIGKILL')
        }
        await victim.server.exited
        await replicas.start()
      }
      return { killed }
    })
  })

  it('F-08 C-079 reordered 0: a relay is stopped in the midst of a batch, outlives its lease, and goes on', {
    timeout: 900_000,
  }, async () => {
    const stops = full ? 15 : 2
    await survive('F-08', async ({ random, reader, load, holder }) => {
      let resumedRepeats = 0
      for (let round = 1; round <= stops; round++) {
        await until(() => reader.tally().distinct >= (round * n) / (stops + 1) || load.total() >= 2 * n, generous)
        const stopped = await holder()
        const told = () => stopped.server.output().split('lease lost').length
        const toldBefore = told()
        await stopped.signalAt(1 + Math.floor(random() * 200), 'SIGSTOP', delayOf(random))
        await until(async () => (await holder()) !== stopped, generous)
        const { distinct, repeats } = reader.tally()
        await until(() => reader.tally().distinct > distinct || load.total() === distinct, generous)
        stopped.signal('SIGCONT')
        await until(() => told() > toldBefore, generous)
        await until(() => reader.tally().distinct >= distinct + n / (10 * stops) || load.total() <= reader.tally().distinct, generous)
        resumedRepeats += reader.tally().repeats - repeats
      }
      return { stops, resumedRepeats }
    })
  })
})
