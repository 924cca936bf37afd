import { flight } from '../db/flight.js'
import type { Pool } from '../db/pool.js'
import { counter } from '../telemetry/metrics.js'
import { type CountersRow, readCounters } from './poll.repo.js'

/** What one poll saw of a tenant. */
export interface Seen {
  readonly domainSequence: bigint
  readonly accessRevision: string
  readonly sessionEpoch: string
  /** The pseudo-tenant's access_revision, in the same snapshot. */
  readonly platformRevision: string
  /** `performance.now()` before the poll was asked: all that committed earlier is in it. */
  readonly askedMs: number
}

export interface Watch {
  /** The latest; undefined before the first poll and for a tenant without counters. */
  seen(): Seen | undefined
  end(): void
}

export interface Poll {
  /** Calls `changed` after each poll that saw something new of the tenant. */
  watch(tenantId: string, changed: () => void): Watch
  /** Polls now if one of these is watched. */
  kick(tenantIds: readonly string[]): void
  stop(): Promise<void>
}

interface Watched {
  seen: Seen | undefined
  readonly listeners: Set<() => void>
}

/**
 * The one poll of a replica: every `everyMs`, while somebody watches, one statement for all watched tenants. A poll that fails is only counted:
 * whoever needs to be sure looks at `askedMs`.
 */
export function createPoll({ pool, role = 'platform_app', everyMs = 100 }: { pool: Pool; role?: string; everyMs?: number }): Poll {
  const tenants = new Map<string, Watched>()
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let again = false
  let stopped = false

  const ask = async () => {
    const askedMs = performance.now()
    const names = [...new Set([...tenants.keys(), 'platform'])]
    const [result] = await flight(pool, role, [readCounters(names)], { readOnly: true, timeoutMs: 2_000 })
    const rows = new Map((result!.rows as CountersRow[]).map((row) => [row.tenant_id, row]))
    const platformRevision = rows.get('platform')?.access_revision ?? ''
    for (const [tenantId, watched] of tenants) {
      const row = rows.get(tenantId)
      const before = watched.seen
      watched.seen = row && {
        domainSequence: BigInt(row.domain_sequence),
        accessRevision: row.access_revision,
        sessionEpoch: row.session_epoch,
        platformRevision,
        askedMs,
      }
      if (differ(before, watched.seen)) for (const listener of watched.listeners) listener()
    }
  }

  const start = () => {
    clearTimeout(timer)
    if (stopped || tenants.size === 0) return
    if (running) {
      again = true
      return
    }
    again = false
    running = ask()
      .catch(() => counter('outbox.poll.failed').add())
      .finally(() => {
        running = undefined
        if (again) start()
        else if (!stopped && tenants.size > 0) timer = setTimeout(start, everyMs)
      })
  }

  return {
    watch(tenantId, changed) {
      const watched = tenants.get(tenantId) ?? { seen: undefined, listeners: new Set() }
      const listener = () => changed()
      watched.listeners.add(listener)
      tenants.set(tenantId, watched)
      start()
      return {
        seen: () => watched.seen,
        end() {
          watched.listeners.delete(listener)
          if (watched.listeners.size === 0 && tenants.get(tenantId) === watched) tenants.delete(tenantId)
        },
      }
    },
    kick(tenantIds) {
      if (tenantIds.some((name) => tenants.has(name))) start()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
      tenants.clear()
    },
  }
}

const differ = (a: Seen | undefined, b: Seen | undefined) =>
  a?.domainSequence !== b?.domainSequence ||
  a?.accessRevision !== b?.accessRevision ||
  a?.sessionEpoch !== b?.sessionEpoch ||
  a?.platformRevision !== b?.platformRevision
