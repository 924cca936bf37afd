import { GetTenantRequest, TenantServiceService } from '../gen/customer/tenant/v1/tenant_service.js'
import { echoed } from './echo.bench.js'
import { type Line, ms, rate, times, us } from './line.js'
import { interleave } from './sides.js'
import { type Calls, calls, makeTenants, profiled, type Stage } from './stage.js'

const gettingAll = (ids: readonly string[]) => ids.map((tenantId) => GetTenantRequest.encode({ tenantId }).finish())

/** GetTenant, which always asks PostgreSQL, against grpc-js alone. */
export async function getTenant(stage: Stage): Promise<Line[]> {
  const database = await stage.database()
  const messages = gettingAll(await makeTenants(database, 10))
  const server = await stage.server('get-tenant', database)
  const bare = await stage.echo()
  const { path } = TenantServiceService.getTenant
  const sides = (options?: Calls) => ({
    ours: calls(stage, server, path, messages, options),
    bare: calls(stage, bare, '/bench.Echo/Echo', [echoed], options),
  })
  const full = await profiled(server, () => interleave(sides(), { warmCalls: 10_000, warmMsMax: 4_000, rounds: 4, ms: 1_000 }))
  // Full speed is a queue, whose wait says nothing: latencies are compared at the same moderate rate.
  const moderate = await interleave(sides({ perSecond: 500 }), { warmCalls: 1, rounds: 4, ms: 1_200 })
  const rateRatio = full.ratio('ours', 'bare', 'perSecond')
  const p99Ratio = moderate.ratio('ours', 'bare', 'p99Ms')
  const side = (name: 'ours' | 'bare') => `${rate(full.of(name, 'perSecond'))}, ${us(full.of(name, 'cpuUs'))} of CPU`
  return [
    {
      operation: 'GetTenant from PostgreSQL',
      ours: side('ours'),
      limit: side('bare'),
      result: times(rateRatio),
      goal: '≥ 0.50 of echo',
      reached: rateRatio >= 0.5,
    },
    {
      operation: '– its p99 at 500/s',
      ours: ms(moderate.of('ours', 'p99Ms')),
      limit: ms(moderate.of('bare', 'p99Ms')),
      result: times(p99Ratio),
      goal: '≤ 1.5 × echo',
      reached: p99Ratio <= 1.5,
    },
  ]
}

/** GetTenant round robin: does a fleet of tenants slow it? */
export async function reads(stage: Stage): Promise<Line[]> {
  const [small, large] = [await stage.database(), await stage.database()]
  const [few, many] = [await makeTenants(small, 10), await makeTenants(large, 1_000)]
  const { path } = TenantServiceService.getTenant
  const sides = {
    many: calls(stage, await stage.server('reads-1000', large), path, gettingAll(many)),
    few: calls(stage, await stage.server('reads-10', small), path, gettingAll(few)),
  }
  const found = await interleave(sides, { warmCalls: 8_000, warmMsMax: 2_000, rounds: 3, ms: 1_000 })
  const ratio = found.ratio('many', 'few', 'perSecond')
  const side = (name: 'many' | 'few') => `${rate(found.of(name, 'perSecond'))}, p99 ${ms(found.of(name, 'p99Ms'))}`
  return [
    { operation: 'GetTenant, 1,000 tenants in turn; limit: 10', ours: side('many'), limit: side('few'), result: times(ratio), goal: '' },
  ]
}
