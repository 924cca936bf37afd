import { TenantServiceService, UpdateTenantRequest } from '../gen/customer/tenant/v1/tenant_service.js'
import { connectOnce } from '../server/db/connect.js'
import { startTcpProxy } from '../test/support/tcp-proxy.js'
import { delayed } from './delay.js'
import type { Writing, WritingResult } from './limits/writer.child.js'
import { type Line, ms, rate, times } from './line.js'
import type { Child, Server } from './process.js'
import { type Compared, interleave, type Side } from './sides.js'
import { calls, makeTenants, profiled, type Stage } from './stage.js'

type Name = 'rpc' | 'kernel' | 'raw' | 'kysely'
const slices = { warmCalls: 1_500, warmMsMax: 1_500, rounds: 3, ms: 700 }

const writing = (child: Child, what: Omit<Writing, 'ms'>): Side => ({
  async slice(sliceMs) {
    const before = await child.cpuUs()
    const result = await child.ask<WritingResult>({ ...what, ms: sliceMs } satisfies Writing)
    return { ...result, cpuUs: ((await child.cpuUs()) - before) / result.calls }
  },
})

/** Every call renames: the same name follows itself only after all others. */
const renaming = (tenantIds: readonly string[]) =>
  Array.from({ length: Math.max(64, 4 * tenantIds.length) }, (_, i) => {
    const tenantId = tenantIds[i % tenantIds.length]!
    return UpdateTenantRequest.encode(UpdateTenantRequest.fromPartial({ tenantId, displayName: `Acme ${i}` })).finish()
  })

/**
 * UpdateTenant against its rows in one statement, and against a transaction that awaits each statement; 8 under way, on this machine and with
 * 1 ms added to each round trip to PostgreSQL, over 100 tenants and on one.
 */
export async function mutation(stage: Stage): Promise<Line[]> {
  const database = await stage.database()
  const ids = await makeTenants(database, 100)
  const writers = { raw: stage.child('limits/writer.child.ts'), kysely: stage.child('limits/writer.child.ts') }
  const kernel = stage.child('limits/writer.child.ts')
  const proxy = await delayed(stage, database, 1)
  const { path } = TenantServiceService.updateTenant
  const compare = (server: Server, tenantIds: readonly string[], through: (url: string) => string) =>
    interleave<Name>(
      {
        raw: writing(writers.raw, { kind: 'raw', url: through(database.superuserUrl), tenantIds, inFlight: 8 }),
        kernel: writing(kernel, { kind: 'kernel', url: through(database.urls.app), tenantIds, inFlight: 8 }),
        rpc: calls(stage, server, path, renaming(tenantIds), { inFlight: 8 }),
        kysely: writing(writers.kysely, { kind: 'kysely', url: through(database.superuserUrl), tenantIds, inFlight: 8 }),
      },
      slices,
    )
  const here = (url: string) => url
  const near = await stage.server('mutation', database)
  await warm(calls(stage, near, path, renaming(ids), { inFlight: 8 }))
  const many = await profiled(near, () => compare(near, ids, here))
  const hot = await compare(near, ids.slice(0, 1), here)
  const far = await stage.server('mutation-far', database, { DATABASE_URL: proxy.through(database.urls.app) })
  await warm(calls(stage, far, path, renaming(ids), { inFlight: 8 }))
  const manyFar = await compare(far, ids, proxy.through)
  const hotFar = await compare(far, ids.slice(0, 1), proxy.through)
  return [
    ...lines('localhost, 100 tenants', many, { raw: 0.55, kysely: 1.4 }),
    ...lines('localhost, one tenant', hot, {}),
    ...lines('+ 1 ms, 100 tenants', manyFar, { kysely: 2.5 }),
    ...lines('+ 1 ms, one tenant', hotFar, { kysely: 6 }),
    await roundTrips(stage, ids, database.urls.app),
  ]
}

/** A server compiles as long as its code is new, which a mutation, the longest way of all, feels most. */
async function warm(side: Side): Promise<void> {
  for (let made = 0; made < 3_000; ) made += (await side.slice(1_000)).calls
}

/** `goals`: against one statement, against the query builder. */
function lines(where: string, found: Compared<Name>, goals: { raw?: number; kysely?: number }): Line[] {
  const limits = ['raw', 'kysely'] as const
  return (['rpc', 'kernel'] as const).map((ours) => {
    const ratios = limits.map((limit) => found.ratio(ours, limit, 'perSecond'))
    const asked = limits.map((limit) => goals[limit])
    return {
      operation: `${ours === 'rpc' ? 'UpdateTenant' : '– its handler and transaction alone'}, ${where}`,
      ours: `${rate(found.of(ours, 'perSecond'))}, ${(found.of(ours, 'cpuUs') / 1000).toFixed(2)} ms of CPU`,
      limit: `one statement ${rate(found.of('raw', 'perSecond'))} · query builder ${rate(found.of('kysely', 'perSecond'))}`,
      result: ratios.map(times).join(' · '),
      goal: asked.every((goal) => goal === undefined) ? '' : asked.map((goal) => (goal === undefined ? '–' : `≥ ${goal} ×`)).join(' · '),
      ...(asked.every((goal) => goal === undefined) ? {} : { reached: asked.every((goal, i) => goal === undefined || ratios[i]! >= goal) }),
    }
  })
}

/** By what a long way to PostgreSQL adds to one call. */
async function roundTrips(stage: Stage, tenantIds: readonly string[], appUrl: string): Promise<Line> {
  const url = new URL(appUrl)
  const proxy = await startTcpProxy({ port: Number(url.port) })
  stage.onStop(() => proxy.stop())
  proxy.latencyMs = 10
  url.port = String(proxy.port)
  const child = stage.child('limits/writer.child.ts')
  const one = (to: string) => writing(child, { kind: 'kernel', url: to, tenantIds, inFlight: 1 })
  const trip = await measureTrip(url.href)
  const found = await interleave({ far: one(url.href), near: one(appUrl) }, { warmCalls: 20, rounds: 2, ms: 700 })
  const trips = found.difference('far', 'near', 'p50Ms') / trip
  return {
    operation: 'round trips of a mutation',
    ours: `${ms(found.of('far', 'p50Ms'))}, near ${ms(found.of('near', 'p50Ms'))}`,
    limit: `a round trip ${ms(trip)}`,
    result: trips.toFixed(2),
    goal: '≤ 2 (measured < 2.3)',
    reached: trips < 2.3,
  }
}

async function measureTrip(url: string): Promise<number> {
  const connection = await connectOnce(url)
  const found: number[] = []
  for (let i = 0; i < 20; i++) {
    const start = performance.now()
    await connection.query('select 1')
    found.push(performance.now() - start)
  }
  await connection.end()
  found.sort((a, b) => a - b)
  return found[10]!
}
