import { eventDefinition } from '../../server/contract/event-catalogue.js'
import { jsonExampleOf } from '../../server/contract/json-example.js'
import { inTenant } from '../../server/db/in-tenant.js'
import type { Bench } from './transactions.js'

/** Numbers in [0, 1) that depend on the seed alone (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const updated = eventDefinition('customer.tenant.v1.TenantUpdated')!

/** The payload of a `tenant.updated`, with a label of so many characters. */
export const updatedPayload = (tenantId: string, labelSize = 0) =>
  JSON.stringify({ ...jsonExampleOf(updated.desc), tenant_id: tenantId, labels: { note: 'x'.repeat(labelSize) } })

/** A mutation of the tenant that emits `count` events. */
export const mutate = (bench: Bench, tenantId: string, count: number, payload = updatedPayload(tenantId)) =>
  inTenant(bench.db, bench.call({ tenantId }), async (tx) => {
    for (let nth = 0; nth < count; nth++) tx.emit({ stream: 'domain', type: updated.ceType, subject: '', payload })
  })

export interface Load {
  /** Events that were committed, by tenant. */
  readonly committed: ReadonlyMap<string, number>
  total(): number
  /** Mutations that failed. */
  readonly failures: readonly unknown[]
  /** Resolves when the writers have stopped. */
  stop(): Promise<void>
}

export interface LoadOptions {
  readonly random: () => number
  /** Events of one mutation. */
  readonly burstMax?: number
  /** Writers pause while this holds of what is committed. */
  readonly ahead?: (total: number) => boolean
}

/** A writer for each tenant, one mutation after the other, until it is stopped. */
export function startLoad(bench: Bench, tenantIds: readonly string[], { random, burstMax = 20, ahead = () => false }: LoadOptions): Load {
  const committed = new Map<string, number>()
  const failures: unknown[] = []
  let stopped = false
  const total = () => [...committed.values()].reduce((sum, count) => sum + count, 0)
  const write = async (tenantId: string) => {
    while (!stopped) {
      if (ahead(total())) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        continue
      }
      const count = 1 + Math.floor(random() * burstMax)
      try {
        await mutate(bench, tenantId, count)
        committed.set(tenantId, (committed.get(tenantId) ?? 0) + count)
      } catch (err) {
        failures.push(err)
      }
    }
  }
  const writers = tenantIds.map(write)
  return {
    committed,
    total,
    failures,
    async stop() {
      stopped = true
      await Promise.all(writers)
    },
  }
}

/** Committed events that the reader did not see; every tenant's first event is its number 1. */
export function lostOf(load: Pick<Load, 'committed'>, reader: { has(key: string, sequence: number): boolean }): number {
  let lost = 0
  for (const [tenantId, count] of load.committed) for (let nth = 1; nth <= count; nth++) if (!reader.has(tenantId, nth)) lost += 1
  return lost
}
