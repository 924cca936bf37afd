import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js'
import { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { CreateTenantRequest, TenantServiceClient, TenantServiceService } from '../../gen/customer/tenant/v1/tenant_service.js'
import { createClient } from './src/index.js'

if (process.argv[2] === 'server') {
  const s = new Server()
  const t = Tenant.fromPartial({ id: 'tnt_' + '0'.repeat(26), slug: 'acme', displayName: 'Acme', createTime: new Date(), etag: '1' })
  const f = (_c: any, cb: any) => cb(null, t)
  s.addService(TenantServiceService, Object.fromEntries(Object.keys(TenantServiceService).map((k) => [k, f])) as any)
  s.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_e, p) => process.send!(p))
} else {
  const child = fork(new URL(import.meta.url).pathname, ['server'], { execArgv: process.execArgv })
  const port = await new Promise((r) => child.once('message', r))
  const raw = new TenantServiceClient(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 })
  const sdk = createClient({ address: `127.0.0.1:${port}`, apiKey: 'ck_0123456789' })
  const md = new Metadata()
  md.set('authorization', 'Bearer ck_0123456789')
  const tenantId = 'tnt_' + '0'.repeat(26)
  // as a careful user of the generated client would: deadline, request ids
  const gens: Record<string, () => Promise<unknown>> = {
    rawGet: () =>
      new Promise((res, rej) => raw.getTenant({ tenantId }, md, { deadline: Date.now() + 10000 }, (e, v) => (e ? rej(e) : res(v)))),
    rawGetXrid: () =>
      new Promise((res, rej) => {
        const m = md.clone()
        m.set('x-request-id', randomUUID())
        raw.getTenant({ tenantId }, m, { deadline: Date.now() + 10000 }, (e, v) => (e ? rej(e) : res(v)))
      }),
    sdkGet: () => sdk.tenants.getTenant({ tenantId }),
    rawCreate: () =>
      new Promise((res, rej) =>
        raw.createTenant(
          CreateTenantRequest.fromPartial({ slug: 'acme', displayName: 'Acme', ownerEmail: 'a@b.c', requestId: randomUUID() }),
          md,
          { deadline: Date.now() + 10000 },
          (e, v) => (e ? rej(e) : res(v)),
        ),
      ),
    sdkCreate: () => sdk.tenants.createTenant({ slug: 'acme', displayName: 'Acme', ownerEmail: 'a@b.c' }),
  }
  const cpu: Record<string, number[]> = {}
  for (let round = 0; round < 50; round++)
    for (const [name, call] of Object.entries(gens)) {
      const n = 3000,
        c0 = process.cpuUsage()
      let left = n
      await Promise.all(
        Array.from({ length: 32 }, async () => {
          while (left-- > 0) await call()
        }),
      )
      const c = process.cpuUsage(c0)
      if (round > 3) (cpu[name] ??= []).push((c.user + c.system) / n)
    }
  for (const [k, v] of Object.entries(cpu)) {
    v.sort((a, b) => a - b)
    console.log(k, v[v.length >> 1]!.toFixed(1), 'us; min', v[0]!.toFixed(1))
  }
  child.kill()
  process.exit()
}
