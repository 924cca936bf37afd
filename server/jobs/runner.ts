import { flight } from '../db/flight.js'
import type { Pool } from '../db/pool.js'
import type { Log } from '../telemetry/log.js'
import { counter } from '../telemetry/metrics.js'
import { type Job, type Lease, noLease } from './job.js'
import { releaseLeases, takeLeases } from './leases.repo.js'

export interface RunnerOptions {
  /** The login that may write platform.leases, and the role it takes on. */
  readonly pool: Pool
  readonly role: string
  readonly jobs: readonly Job[]
  /** Names this process, and no other. */
  readonly holder: string
  readonly log: Log
  /** A holder that died is missed after at most ttlMs + renewMs. */
  readonly ttlMs?: number
  readonly renewMs?: number
  readonly random?: () => number
}

export interface Runner {
  start(): void
  /** Ends the runs, waits for them at most `timeoutMs`, lets the others have the leases. */
  stop(timeoutMs?: number): Promise<void>
  /** Runs the job at once, or once more if it runs; nothing happens where another replica holds its lease. */
  kick(name: string): void
  /** Whether this process may run the job now. */
  holds(name: string): boolean
}

interface Slot {
  readonly job: Job
  lease: Lease | undefined
  /** Ends the run of this lease. */
  abort: AbortController
  running: Promise<void> | undefined
  again: boolean
  failures: number
  timer: NodeJS.Timeout | undefined
  expiry: NodeJS.Timeout | undefined
}

const backoffMaxMs = 30_000

/** Runs all jobs of the process. One loop renews the leases of all of them, in one statement. */
export function createRunner({
  pool,
  role,
  jobs,
  holder,
  log,
  ttlMs = 3_000,
  renewMs = 1_000,
  random = Math.random,
}: RunnerOptions): Runner {
  const slots = new Map<string, Slot>(
    jobs.map((job) => [
      job.name,
      {
        job,
        lease: undefined,
        abort: new AbortController(),
        running: undefined,
        again: false,
        failures: 0,
        timer: undefined,
        expiry: undefined,
      },
    ]),
  )
  const leased = [...slots.values()].filter((slot) => slot.job.lease === 'one')
  let stopping = false
  let renewal: NodeJS.Timeout | undefined
  let renewing: Promise<void> = Promise.resolve()

  const trigger = (slot: Slot) => {
    clearTimeout(slot.timer)
    if (stopping || !slot.lease) return
    if (slot.running) {
      slot.again = true
      return
    }
    slot.again = false
    slot.running = runOnce(slot, slot.lease, slot.abort.signal).finally(() => {
      slot.running = undefined
      if (stopping || !slot.lease) return
      const waitMs = slot.again ? 0 : waitOf(slot)
      slot.timer = setTimeout(() => trigger(slot), waitMs)
    })
  }

  const waitOf = ({ job, failures }: Slot) =>
    Math.max(job.everyMs, Math.min(backoffMaxMs, failures && 100 * 2 ** failures)) * (0.9 + 0.2 * random())

  const runOnce = async (slot: Slot, lease: Lease, signal: AbortSignal) => {
    try {
      await slot.job.run({ signal, lease })
      slot.failures = 0
      counter(`jobs.${slot.job.name}.done`).add()
    } catch (err) {
      if (signal.aborted) return
      slot.failures += 1
      counter(`jobs.${slot.job.name}.failed`).add()
      // one line for 1, 2, 4, 8 … failures in a row: a database that is away must not fill the log
      if (Number.isInteger(Math.log2(slot.failures))) log.error({ job: slot.job.name, failures: slot.failures, err }, 'job failed')
    }
  }

  const lose = (slot: Slot, why: string) => {
    if (!slot.lease) return
    clearTimeout(slot.expiry)
    clearTimeout(slot.timer)
    slot.lease = undefined
    slot.abort.abort(new Error(`lease lost: ${why}`))
    log.warn({ job: slot.job.name, why }, 'lease lost')
  }

  const hold = (slot: Slot, epoch: string, untilMs: number) => {
    if (slot.lease && slot.lease.epoch !== epoch) lose(slot, 'it had run out')
    clearTimeout(slot.expiry)
    slot.expiry = setTimeout(() => lose(slot, 'not renewed in time'), untilMs - performance.now())
    if (slot.lease) {
      ;(slot.lease as Held).until = untilMs
      return
    }
    slot.lease = new Held(slot.job.name, holder, epoch, untilMs)
    slot.abort = new AbortController()
    log.info({ job: slot.job.name, epoch }, 'lease taken')
    // a run of the lost lease may still be ending: it sees its signal, and this one follows
    if (slot.running) slot.again = true
    else trigger(slot)
  }

  const renew = async () => {
    const askedMs = performance.now()
    try {
      const names = leased.map((slot) => slot.job.name)
      const [result] = await flight(pool, role, [takeLeases(names, holder, ttlMs)], { timeoutMs: renewMs })
      const epochs = new Map((result!.rows as { name: string; epoch: string }[]).map((row) => [row.name, row.epoch]))
      for (const slot of leased) {
        const epoch = epochs.get(slot.job.name)
        if (stopping) return
        if (epoch === undefined) lose(slot, 'another replica has it')
        else hold(slot, String(epoch), askedMs + ttlMs)
      }
    } catch (err) {
      counter('jobs.renewals.failed').add()
      log.warn({ err }, 'leases not renewed')
    } finally {
      if (!stopping) renewal = setTimeout(next, Math.max(0, renewMs - (performance.now() - askedMs)))
    }
  }
  const next = () => {
    renewing = renew()
  }

  return {
    start() {
      for (const slot of slots.values()) {
        if (slot.job.lease !== 'every') continue
        slot.lease = noLease(slot.job.name)
        slot.timer = setTimeout(() => trigger(slot), slot.job.everyMs * random())
      }
      if (leased.length > 0) next()
    },
    async stop(timeoutMs = 5_000) {
      stopping = true
      clearTimeout(renewal)
      for (const slot of slots.values()) {
        clearTimeout(slot.timer)
        slot.abort.abort(new Error('the service drains'))
      }
      let timer: NodeJS.Timeout | undefined
      const patience = new Promise((resolve) => {
        timer = setTimeout(resolve, timeoutMs)
      })
      await Promise.race([Promise.all([renewing, ...[...slots.values()].map((slot) => slot.running)]), patience])
      clearTimeout(timer)
      for (const slot of slots.values()) clearTimeout(slot.expiry)
      // a run that did not end in time keeps its lease until it runs out
      const free = leased.filter((slot) => !slot.running).map((slot) => slot.job.name)
      if (free.length > 0) await flight(pool, role, [releaseLeases(free, holder)]).catch((err) => log.warn({ err }, 'leases not released'))
    },
    kick(name) {
      const slot = slots.get(name)
      if (!slot) throw new Error(`no job ${name}`)
      trigger(slot)
    },
    holds: (name) => (slots.get(name)?.lease?.msLeft() ?? -1) > 0,
  }
}

class Held implements Lease {
  constructor(
    readonly name: string,
    readonly holder: string,
    readonly epoch: string,
    public until: number,
  ) {}

  msLeft() {
    return this.until - performance.now()
  }
}
