import { Agent, get } from 'node:http'
import { GetTenantRequest, TenantServiceService } from '../gen/customer/tenant/v1/tenant_service.js'
import { freePort } from '../server/dev/free-port.js'
import { type Line, ms, rate, times, us } from './line.js'
import { percentile } from './median.js'
import type { Server } from './process.js'
import { interleave, type Side } from './sides.js'
import { calls, makeTenants, profiled, type Stage } from './stage.js'

/** GetTenant by REST of the development edge, against the same call by gRPC to the same server. */
export async function edge(stage: Stage): Promise<Line[]> {
  const database = await stage.database()
  const ids = await makeTenants(database, 10)
  const port = await freePort()
  const server = await stage.server('edge', database, { HTTP_PORT: String(port) })
  const messages = ids.map((tenantId) => GetTenantRequest.encode({ tenantId }).finish())
  const sides = {
    rest: byRest(server, port, stage.key, ids),
    grpc: calls(stage, server, TenantServiceService.getTenant.path, messages, { inFlight: 16 }),
  }
  const found = await profiled(server, () => interleave(sides, { warmCalls: 5_000, warmMsMax: 4_000, rounds: 4, ms: 1_000 }))
  const side = (name: 'rest' | 'grpc') => `${rate(found.of(name, 'perSecond'))}, ${us(found.of(name, 'cpuUs'))} of CPU`
  return [
    {
      operation: 'GetTenant by REST (development edge); limit: the same by gRPC',
      ours: side('rest'),
      limit: side('grpc'),
      result: `+ ${us(found.difference('rest', 'grpc', 'cpuUs'))} of CPU`,
      goal: '',
    },
    {
      operation: '– its p50, 16 under way',
      ours: ms(found.of('rest', 'p50Ms')),
      limit: ms(found.of('grpc', 'p50Ms')),
      result: times(found.ratio('rest', 'grpc', 'p50Ms')),
      goal: '',
    },
  ]
}

function byRest(server: Server, port: number, key: string, ids: readonly string[]): Side {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  const ask = (id: string) =>
    new Promise<void>((resolve, reject) => {
      const headers = { authorization: `Bearer ${key}` }
      const request = get({ host: '127.0.0.1', port, agent, path: `/v1/tenants/${id}`, headers }, (response) => {
        response.resume()
        response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`REST: ${response.statusCode}`))))
      })
      request.on('error', reject)
    })
  return {
    async slice(lengthMs) {
      const before = await server.cpuUs()
      const [start, tookMs] = [performance.now(), [] as number[]]
      const end = start + lengthMs
      const one = async (i: number) => {
        for (let n = i; performance.now() < end; n++) {
          const asked = performance.now()
          await ask(ids[n % ids.length]!)
          tookMs.push(performance.now() - asked)
        }
      }
      await Promise.all(Array.from({ length: 16 }, (_, i) => one(i)))
      const elapsedS = (performance.now() - start) / 1000
      const cpuUs = ((await server.cpuUs()) - before) / tookMs.length
      tookMs.sort((a, b) => a - b)
      return {
        perSecond: tookMs.length / elapsedS,
        p50Ms: percentile(tookMs, 50),
        p99Ms: percentile(tookMs, 99),
        cpuUs,
        calls: tookMs.length,
      }
    },
  }
}
