import { setTimeout as sleep } from 'node:timers/promises'
import { type Server, ServerCredentials } from '@grpc/grpc-js'
import type { OpenCalls } from './drain.layer.js'
import type { GatewayProof } from './gateway.js'
import { createHealth } from './health.js'
import { strictServer } from './http2.js'
import type { Service } from './kernel.js'
import type { CallFields } from './log.layer.js'
import { createReflection } from './reflection.js'

export interface RpcLimits {
  /** Of one message, either way it is compressed. */
  readonly messageBytes: number
  /** Of a call's headers. */
  readonly metadataBytes: number
  /** A call's message must be there so long after its headers. */
  readonly arrivalMs: number
  /** Of one connection, at a time. */
  readonly streamsMax: number
  /** Of each address that is listened on, at a time; what comes beyond is closed at once. */
  readonly connectionsMax: number
  /** After so long a connection is asked whether it is still there, and closed if it does not answer in time: no silent sockets. */
  readonly keepaliveMs: number
  readonly keepaliveTimeoutMs: number
  /** A connection without calls is closed after this. */
  readonly idleMs: number
  /** A connection is closed after this (± 10 %), so that callers spread over new replicas; its calls have the grace to end. */
  readonly ageMs: number
  readonly ageGraceMs: number
}

export const defaultLimits: RpcLimits = {
  messageBytes: 1024 * 1024,
  metadataBytes: 16 * 1024,
  arrivalMs: 30_000,
  streamsMax: 100,
  connectionsMax: 1_000,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  idleMs: 15 * 60_000,
  ageMs: 30 * 60_000,
  ageGraceMs: 30_000,
}

/** PEM texts. With a `clientCa` every caller must show a certificate of its. */
export interface RpcTls {
  readonly cert: Buffer
  readonly key: Buffer
  readonly clientCa?: Buffer | undefined
}

export interface RpcServerOptions {
  readonly services: readonly Service[]
  readonly calls: OpenCalls
  /** Whether grpc.reflection is served; off in production unless asked for. */
  readonly reflection?: boolean
  /** For calls that grpc-js refuses before any layer sees them. */
  readonly log: (fields: CallFields) => void
  readonly tls?: RpcTls | undefined
  /** Whose word about the caller's address counts; nobody's by default. */
  readonly gateways?: GatewayProof
  readonly limits?: Partial<RpcLimits> | undefined
}

export interface Bound {
  readonly port: number
  readonly hosts: readonly string[]
  /** Hosts that this machine does not have, such as ::1 without IPv6. */
  readonly missing: readonly string[]
}

export interface RpcServer {
  /** Listens on the same port of every host; port 0: one that is free. Throws if it is in use, or no host could be had. */
  bind(hosts: readonly string[], port: number): Promise<Bound>
  /** What health checks say; true from the start. */
  setServing(serving: boolean): void
  /**
   * NOT_SERVING; for `pauseMs` calls are still taken, while balancers learn of it; then GOAWAY, streams end with UNAVAILABLE SHUTTING_DOWN,
   * and what is under way has `graceMs` to finish before it ends likewise. Resolves when all connections are closed.
   */
  drain(times: { pauseMs: number; graceMs: number }): Promise<void>
}

export function createRpcServer({
  services,
  calls,
  reflection = true,
  log,
  tls,
  gateways = { secrets: [] },
  limits: given,
}: RpcServerOptions): RpcServer {
  const limits = { ...defaultLimits, ...given }
  const server = strictServer(
    {
      'grpc.max_receive_message_length': limits.messageBytes,
      'grpc.max_concurrent_streams': limits.streamsMax,
      'grpc.keepalive_time_ms': limits.keepaliveMs,
      'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
      'grpc.max_connection_idle_ms': limits.idleMs,
      'grpc.max_connection_age_ms': limits.ageMs,
      'grpc.max_connection_age_grace_ms': limits.ageGraceMs,
      'grpc.enable_channelz': 0,
    },
    limits,
    gateways,
    log,
  )
  const health = createHealth(services.map((it) => it.name))
  const reflections = reflection ? [createReflection('v1'), createReflection('v1alpha')] : []
  const all = [...services, health.service, ...reflections.map((it) => it.service)]
  for (const { definition, implementation } of all) server.addService(definition, implementation)
  const credentials = tls ? secure(tls) : ServerCredentials.createInsecure()

  return {
    bind: (hosts, port) => bindAll(server, credentials, hosts, port),
    setServing: health.set,
    async drain({ pauseMs, graceMs }) {
      health.set(false)
      await sleep(pauseMs)
      const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()))
      calls.endStreams()
      health.end()
      for (const it of reflections) it.end()
      const grace = new AbortController()
      const over = sleep(graceMs, undefined, { signal: grace.signal }).then(async () => {
        calls.endAll()
        // The answers that this gives have a moment to leave.
        await Promise.race([closed, sleep(100)])
        server.forceShutdown()
      })
      await Promise.race([closed, over])
      grace.abort()
      await over.catch(() => undefined)
    },
  }
}

function secure({ cert, key, clientCa }: RpcTls): ServerCredentials {
  return ServerCredentials.createSsl(clientCa ?? null, [{ cert_chain: cert, private_key: key }], clientCa !== undefined)
}

/** A free port of the first host may be taken on the next one: then another is tried. */
const attemptsMax = 10

async function bindAll(server: Server, credentials: ServerCredentials, hosts: readonly string[], wanted: number): Promise<Bound> {
  for (let attempt = 1; ; attempt++) {
    const bound: string[] = []
    const missing: string[] = []
    let port = wanted
    let taken = ''
    for (const host of hosts) {
      const result = await bindOne(server, credentials, host, port)
      if (typeof result === 'number') {
        port = result
        bound.push(host)
      } else if (/EADDRNOTAVAIL|EAFNOSUPPORT/.test(result)) missing.push(host)
      else if (result.includes('EADDRINUSE')) taken = host
      else throw new Error(`cannot listen on port ${port} of ${host}: ${result}`)
    }
    if (taken === '' && bound.length > 0) return { port, hosts: bound, missing }
    if (taken === '') throw new Error(`this machine has none of the addresses ${hosts.join(', ')}`)
    for (const host of bound) server.unbind(addressOf(host, port))
    if (wanted !== 0 || attempt === attemptsMax)
      throw new Error(`GRPC_PORT ${port} on ${taken} is in use: stop what uses it, or set GRPC_PORT`)
  }
}

const addressOf = (host: string, port: number) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)

/** The port, or why not. */
function bindOne(server: Server, credentials: ServerCredentials, host: string, port: number): Promise<number | string> {
  return new Promise((resolve) => {
    server.bindAsync(addressOf(host, port), credentials, (err, chosen) => resolve(err ? err.message : chosen))
  })
}
