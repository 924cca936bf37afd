import type pg from 'pg'
import { type Gate, gate } from './admission.js'
import { type Lanes, openLanes } from './lanes.js'
import { openPool, type PoolOptions } from './pool.js'

export interface DatabaseOptions extends PoolOptions {
  /** Prepare statements by name: off behind a pooler in transaction mode. */
  readonly named: boolean
  /** Told after each COMMIT that published events or moved a revision. */
  readonly committed?: (tenantId: string) => void
  /** How far this process's clock stands ahead of the database's, for tests. */
  readonly clockShiftMs?: () => number
}

/** The one cell of this version: every tenant is placed in it. */
export const onlyCell = 1

/** The database, as the serving process sees it. */
export interface Database {
  /** For what belongs to no call: jobs, polls, look-ups of keys. */
  readonly pool: pg.Pool
  /** The pool of a cell's login, for its tenants (`tenants.cell`). */
  readonly poolFor: (cell: number) => pg.Pool
  readonly named: boolean
  /** Connections that short reads share; undefined behind a pooler. */
  readonly lanes: Lanes | undefined
  readonly committed: (tenantId: string) => void
  readonly clockShiftMs: () => number
  /** Mutations of one tenant: at most 4, and half the pool. */
  readonly perTenant: Gate
  /** One at a time per idempotency key. */
  readonly perKey: Gate
  /** CreateTenants of a process: more than two only slow each other down (DATA.md). */
  readonly onboarding: Gate
  /** Reads wait for a connection in the pool: at most this many. */
  readonly waitingMax: number
}

export function openDatabase(options: DatabaseOptions): Database {
  const pool = openPool(options)
  return {
    pool,
    poolFor: (cell) => {
      if (cell !== onlyCell) throw new Error(`there is no cell ${cell}`)
      return pool
    },
    named: options.named,
    lanes: options.named ? openLanes(pool, Math.max(1, Math.min(4, options.max >> 2))) : undefined,
    committed: options.committed ?? (() => {}),
    clockShiftMs: options.clockShiftMs ?? (() => 0),
    perTenant: gate(Math.max(1, Math.min(4, options.max >> 1)), 200),
    perKey: gate(1, 200),
    onboarding: gate(2, 200),
    waitingMax: 500,
  }
}
