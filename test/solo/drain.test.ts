import { Client, credentials, Metadata, status } from '@grpc/grpc-js'
import { afterEach, expect, it } from 'vitest'
import type { Tenant } from '../../gen/customer/tenant/v1/tenant.js'
import { GetTenantRequest, TenantServiceClient, UpdateTenantRequest } from '../../gen/customer/tenant/v1/tenant_service.js'
import { openPool } from '../../server/db/pool.js'
import { freePort } from '../../server/dev/free-port.js'
import { makeRingKey } from '../../server/keys/ring.js'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import { type Clients, connect } from '../support/client.js'
import { createDatabase } from '../support/databases.js'
import { faultRun } from '../support/fault-run.js'
import { databaseEnv } from '../support/server-process.js'
import { theCluster } from '../support/solo.js'
import { begin, endAll, type Starting } from '../support/starting.js'
import { type Watching, watch } from '../support/stream.js'
import { until } from '../support/until.js'

const n = process.env.N === 'full' ? 50_000 : 500
const notServing = 2
const retryingId = 'the-client-that-retries'

const cleanups: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

/** A replica at one address, whoever is behind it. */
interface Replica {
  readonly address: string
  readonly httpUrl: string
  readonly clients: Clients
  process: Starting
  start(): Starting
}

async function twoReplicas() {
  const database = await createDatabase(theCluster())
  cleanups.push(() => database.drop())
  cleanups.push(endAll)
  const key = makePlatformKey()
  const { MIGRATOR_DATABASE_URL: _, ...urls } = databaseEnv(database.urls)
  const env = {
    ...urls,
    HOST: '127.0.0.1',
    BOOTSTRAP_API_KEY: key,
    KEY_ENCRYPTION_KEYS: makeRingKey(),
    DRAIN_PAUSE_MS: '2500',
  }
  const replicas: Replica[] = []
  for (let i = 0; i < 2; i++) {
    const [grpcPort, httpPort] = [await freePort(), await freePort()]
    const start = () => begin({ ...env, GRPC_PORT: String(grpcPort), HTTP_PORT: String(httpPort) })
    const address = `127.0.0.1:${grpcPort}`
    replicas.push({ address, httpUrl: `http://127.0.0.1:${httpPort}`, clients: connect(address, key), process: start(), start })
  }
  for (const { clients, process } of replicas) {
    cleanups.push(() => clients.close())
    await process.ready()
  }
  const superuser = openPool({ url: database.superuserUrl, max: 1 })
  cleanups.push(() => superuser.end())
  return { replicas: replicas as [Replica, Replica], key, superuser }
}

const readyz = (replica: Replica) =>
  fetch(`${replica.httpUrl}/readyz`).then(
    (answer) => answer.status,
    () => 0,
  )
const healthz = (replica: Replica) =>
  fetch(`${replica.httpUrl}/healthz`).then(
    (answer) => answer.status,
    () => 0,
  )

/** What grpc.health.v1 says of the whole. */
async function health(replica: Replica): Promise<number> {
  const client = new Client(replica.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
  try {
    return await new Promise((resolve, reject) =>
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        () => Buffer.alloc(0),
        (bytes) => bytes[1] ?? 0,
        {},
        (err, value) => (err ? reject(err) : resolve(value as number)),
      ),
    )
  } finally {
    client.close()
  }
}

/** gRPC's own client on both addresses, in turn, which tries again by its policy. */
function retrying(replicas: readonly Replica[], key: string) {
  const client = new TenantServiceClient(`ipv4:${replicas.map(({ address }) => address).join(',')}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 500,
    'grpc.service_config': JSON.stringify({
      loadBalancingConfig: [{ round_robin: {} }],
      methodConfig: [
        {
          name: [{}],
          retryPolicy: {
            maxAttempts: 5,
            initialBackoff: '0.1s',
            maxBackoff: '1s',
            backoffMultiplier: 2,
            retryableStatusCodes: ['UNAVAILABLE'],
          },
        },
      ],
    }),
  })
  cleanups.push(() => client.close())
  const metadata = new Metadata()
  metadata.set('authorization', `Bearer ${key}`)
  metadata.set('x-request-id', retryingId)
  const options = () => ({ deadline: Date.now() + 15_000 })
  const promised = (call: (answer: (err: Error | null, value: Tenant) => void) => void) =>
    new Promise<Tenant>((resolve, reject) => call((err, value) => (err ? reject(err) : resolve(value))))
  return {
    read: (tenantId: string) =>
      promised((answer) => client.getTenant(GetTenantRequest.fromPartial({ tenantId }), metadata, options(), answer)),
    write: (tenantId: string, displayName: string) => {
      const request = { tenantId, displayName, requestId: crypto.randomUUID() }
      return promised((answer) => client.updateTenant(UpdateTenantRequest.fromPartial(request), metadata, options(), answer))
    },
  }
}

/** Calls one after the other until `over`, and keeps what failed. */
async function load(call: (i: number) => Promise<unknown>, over: () => boolean, failed: string[]): Promise<number> {
  let i = 0
  for (; !over(); i++) {
    await call(i).catch((err: Error & { code?: unknown }) => failed.push(`${err.code}: ${err.message}`))
  }
  return i
}

it('F-22 C-096 a rolling restart under load: readiness goes first, no call fails, with a retry policy or behind a balancer, and watches go on without a gap', async () => {
  const fault = faultRun('F-22')
  const { replicas, key, superuser } = await twoReplicas()
  const tenant = await replicas[0].clients.tenants.createTenant({
    slug: 'drain',
    displayName: 'D',
    ownerEmail: 'd@acme.example',
    requestId: crypto.randomUUID(),
  })
  const tenantId = tenant.id

  // A balancer that asks /readyz, as Kubernetes does, before a client without any retry.
  let open: Replica[] = [...replicas]
  let rolled = false
  // A failed expectation ends the load too.
  let broken = false
  cleanups.push(() => {
    broken = true
  })
  const balancer = (async () => {
    while (!rolled && !broken) {
      const states = await Promise.all(replicas.map(readyz))
      open = replicas.filter((_, i) => states[i] === 200)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()
  const balanced = (i: number) => {
    const { clients } = open[i % open.length] as Replica
    return clients.tenants.getTenant({ tenantId })
  }
  const policy = retrying(replicas, key)
  const failed = { retrying: [] as string[], balanced: [] as string[] }
  const counts = { retrying: 0, balanced: 0 }
  const over = () => broken || (rolled && counts.retrying >= n && counts.balanced >= n)
  const counted = (kind: keyof typeof counts, call: (i: number) => Promise<unknown>) =>
    load((i) => call(i).finally(() => counts[kind]++), over, failed[kind])
  const loads = [
    counted('retrying', (i) => (i % 10 === 0 ? policy.write(tenantId, `D ${i}`) : policy.read(tenantId))),
    counted('retrying', () => policy.read(tenantId)),
    counted('balanced', balanced),
    counted('balanced', balanced),
  ]

  const seen: number[] = []
  let watching: Watching = watch(replicas[0].clients, { tenantId })
  const goOn = (replica: Replica) => {
    seen.push(...watching.sequences())
    watching = watch(replica.clients, { tenantId, afterSequence: String(seen.at(-1) ?? '') })
  }
  for (const [i, replica] of replicas.entries()) {
    const other = replicas[1 - i] as Replica
    await until(() => watching.sequences().length > 0, { timeoutMs: 10_000 })
    const exited = replica.process.kill('SIGTERM')
    await until(async () => (await readyz(replica)) === 503, { timeoutMs: 2_000 })
    // It says no, and still serves whoever has not heard.
    expect(await health(replica)).toBe(notServing)
    expect(watching.end()).toBe('open')
    expect((await replica.clients.tenants.getTenant({ tenantId })).id).toBe(tenantId)
    expect(await healthz(replica)).toBe(200)
    expect(await watching.ended).toMatchObject({ code: status[status.UNAVAILABLE], reason: 'SHUTTING_DOWN' })
    goOn(other)
    const end = await Promise.race([exited, until(() => false, { timeoutMs: 25_000 })])
    expect(end).toBe(0)
    expect(replica.process.output()).not.toContain('while stopping')
    replica.process = await replica.start().ready()
    await until(async () => (await readyz(replica)) === 200, { timeoutMs: 5_000 })
    // A roll goes on when clients have come back: after more than their backoff.
    await until(() => replica.process.output().includes(retryingId), { timeoutMs: 5_000 })
  }
  rolled = true
  fault.recovering()
  await Promise.all([balancer, ...loads])
  const [{ sequence }] = (
    await superuser.query('select domain_sequence as sequence from platform.tenant_counters where tenant_id = $1', [tenantId])
  ).rows
  await until(() => watching.sequences().at(-1) === Number(sequence), { timeoutMs: 10_000 })
  seen.push(...watching.sequences())
  watching.cancel()
  fault.report(counts.retrying + counts.balanced, {
    'failed with retries': failed.retrying.length,
    'failed behind a balancer': failed.balanced.length,
    gaps: Number(sequence) - seen.length,
  })
  expect(failed).toEqual({ retrying: [], balanced: [] })
  expect(seen).toEqual(Array.from({ length: Number(sequence) }, (_, i) => i + 1))
})
