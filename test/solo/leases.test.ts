import { describe, expect, it } from 'vitest'
import { openPool } from '../../server/db/pool.js'
import { createRunner } from '../../server/jobs/runner.js'
import { createDatabase } from '../support/databases.js'
import { type Solo, startSolo, theCluster } from '../support/solo.js'
import { until } from '../support/until.js'

const generous = { timeoutMs: 30_000 }
const jobs = ['event-partitions', 'expire-idempotency-keys']

const leasesOf = async ({ superuser }: Pick<Solo, 'superuser'>) =>
  (await superuser.query('select name, holder, epoch, expire_time > now() as lasts from platform.leases order by name')).rows as {
    name: string
    holder: string
    epoch: string
    lasts: boolean
  }[]
const taken = ({ lines }: Solo) => lines.filter(({ msg }) => msg === 'lease taken').map(({ job }) => job)

describe('leases', () => {
  it('every job has one holder among two replicas; a drain lets the other have it at once', async () => {
    const first = await startSolo()
    try {
      await until(() => jobs.every((job) => taken(first).includes(job)), generous)
      const second = await startSolo({ beside: first })
      let stopped = false
      try {
        const before = await leasesOf(first)
        // several renewals
        const renewed = async () =>
          String((await first.superuser.query('select min(expire_time) as at from platform.leases')).rows[0].at.getTime())
        const seen = new Set<string>()
        await until(async () => seen.add(await renewed()).size > 3, generous)
        expect(await leasesOf(first)).toEqual(before)
        expect(before.map(({ name }) => name)).toEqual(expect.arrayContaining(jobs))
        expect(new Set(before.map(({ holder }) => holder)).size).toBe(1)
        expect(taken(second)).toEqual([])

        await first.app.stop()
        stopped = true
        const released = await leasesOf(second)
        for (const { holder, lasts } of released) expect(holder === before[0]!.holder && lasts).toBe(false)
        await until(() => jobs.every((job) => taken(second).includes(job)), generous)
        const after = await leasesOf(second)
        expect(after.map(({ epoch }) => Number(epoch))).toEqual(before.map(({ epoch }) => Number(epoch) + 1))
      } finally {
        await second.stop()
        expect(stopped).toBe(true)
      }
    } finally {
      await first.stop()
    }
  })

  it('a run ends, and nobody else begins it before, when its lease cannot be renewed', async () => {
    const database = await createDatabase(theCluster())
    const pools = [openPool({ url: database.urls.relay, max: 2 }), openPool({ url: database.urls.relay, max: 2 })]
    const running = new Set<string>()
    let most = 0
    const ended: string[] = []
    const runnerOf = (holder: string, pool: (typeof pools)[number]) =>
      createRunner({
        pool,
        role: 'platform_relay',
        holder,
        log: { info: () => {}, warn: () => {}, error: () => {} },
        ttlMs: 1_000,
        renewMs: 200,
        jobs: [
          {
            name: 'long',
            everyMs: 10,
            lease: 'one',
            run: ({ signal }) =>
              new Promise<void>((resolve) => {
                running.add(holder)
                most = Math.max(most, running.size)
                signal.addEventListener('abort', () => {
                  running.delete(holder)
                  ended.push(holder)
                  resolve()
                })
              }),
          },
        ],
      })
    const [one, two] = [runnerOf('one', pools[0]!), runnerOf('two', pools[1]!)]
    try {
      one.start()
      await until(() => running.has('one'), generous)
      two.start()
      await pools[0]!.end()
      await until(() => running.has('two'), generous)
      expect({ ended, most, holds: [one.holds('long'), two.holds('long')] }).toEqual({ ended: ['one'], most: 1, holds: [false, true] })
    } finally {
      await Promise.all([one.stop(), two.stop()])
      await pools[1]!.end()
      await database.drop()
    }
  })
})
