import { randomBytes } from 'node:crypto'
import { CreateTenantRequest, TenantServiceService } from '../gen/customer/tenant/v1/tenant_service.js'
import { type Connection, connectOnce } from '../server/db/connect.js'
import { tenantScripts } from '../server/db/scripts.js'
import { newId } from '../server/keys/ids.js'
import { type Line, ms, rate, times } from './line.js'
import { median } from './median.js'
import { interleave, type Side } from './sides.js'
import { calls, profiled, type Stage } from './stage.js'

/** Role, schema and the scripts of one tenant, as one message. */
function ddl(): string {
  const name = `t_${newId('tnt').slice(4)}`
  const scripts = tenantScripts.map(({ sql }) => sql.replaceAll('{s}', name))
  return [
    `create role ${name} nologin`,
    `grant ${name} to app`,
    `create schema ${name}`,
    `grant usage on schema ${name} to ${name}`,
    ...scripts,
  ].join(';\n')
}

function bareDdl(connections: readonly Connection[]): Side {
  return {
    async slice(sliceMs) {
      const found: number[] = []
      const start = performance.now()
      const lane = async (connection: Connection) => {
        while (performance.now() - start < sliceMs) {
          const begun = performance.now()
          await connection.query(ddl())
          found.push(performance.now() - begun)
        }
      }
      await Promise.all(connections.map(lane))
      const perSecond = found.length / ((performance.now() - start) / 1000)
      return { perSecond, p50Ms: median(found), p99Ms: Math.max(...found), cpuUs: Number.NaN, calls: found.length }
    },
  }
}

/** CreateTenant, built inline, against the DDL of its schema alone. */
export async function createTenant(stage: Stage): Promise<Line[]> {
  const database = await stage.database()
  const server = await stage.server('create-tenant', database)
  const connections = [await connectOnce(database.superuserUrl), await connectOnce(database.superuserUrl)]
  stage.onStop(() => Promise.all(connections.map((each) => each.end())))
  for (const connection of connections) await connection.query('set role platform_owner')
  const messages = Array.from({ length: 3_000 }, () =>
    CreateTenantRequest.encode(
      CreateTenantRequest.fromPartial({
        slug: `b-${randomBytes(8).toString('hex')}`,
        displayName: 'Acme Ltd',
        ownerEmail: 'owner@acme.example',
      }),
    ).finish(),
  )
  const { path } = TenantServiceService.createTenant
  const slices = { warmCalls: 30, rounds: 3, ms: 1_000 }
  const compare = (lanes: number) =>
    interleave(
      { ours: calls(stage, server, path, messages, { connections: 1, inFlight: lanes }), bare: bareDdl(connections.slice(0, lanes)) },
      slices,
    )
  const [one, two] = await profiled(server, async () => [await compare(1), await compare(2)])
  const ratio = one.ratio('ours', 'bare', 'p50Ms')
  return [
    {
      operation: 'CreateTenant, one at a time, p50',
      ours: ms(one.of('ours', 'p50Ms')),
      limit: `bare DDL ${ms(one.of('bare', 'p50Ms'))}`,
      result: times(ratio),
      goal: '≤ 1.25 ×',
      reached: ratio <= 1.25,
    },
    {
      operation: '– two at a time',
      ours: rate(two.of('ours', 'perSecond')),
      limit: `bare DDL ${rate(two.of('bare', 'perSecond'))}`,
      result: times(two.ratio('ours', 'bare', 'perSecond')),
      goal: '',
    },
  ]
}
