import { PlatformServiceService } from '../gen/customer/platform/v1/platform_service.js'
import { type Line, ms, rate, times, us } from './line.js'
import { interleave } from './sides.js'
import { calls, profiled, type Stage } from './stage.js'

/** As large as the answer of GetServerInfo, about. */
export const echoed = new Uint8Array(190).fill(97)

/** What the layers cost: an RPC that asks no database, against grpc-js alone. */
export async function echo(stage: Stage): Promise<Line[]> {
  const database = await stage.database()
  const server = await stage.server('echo', database)
  const { path } = PlatformServiceService.getServerInfo
  const bare = await stage.echo()
  const sides = { ours: calls(stage, server, path, [new Uint8Array()]), bare: calls(stage, bare, '/bench.Echo/Echo', [echoed]) }
  const found = await profiled(server, () => interleave(sides, { warmCalls: 15_000, warmMsMax: 5_000, rounds: 4, ms: 1_000 }))
  const layersUs = found.difference('ours', 'bare', 'cpuUs')
  const side = (name: 'ours' | 'bare') => `${rate(found.of(name, 'perSecond'))}, ${us(found.of(name, 'cpuUs'))} of CPU`
  return [
    {
      operation: 'unary RPC, all layers, no database',
      ours: side('ours'),
      limit: side('bare'),
      result: `+ ${us(layersUs)} of CPU`,
      goal: '≤ 25 µs',
      reached: layersUs <= 25,
    },
    {
      operation: '– its p50; result: the rate',
      ours: ms(found.of('ours', 'p50Ms')),
      limit: ms(found.of('bare', 'p50Ms')),
      result: times(found.ratio('ours', 'bare', 'perSecond')),
      goal: '',
    },
  ]
}
