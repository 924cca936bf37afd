import { type CallOptions, type Client, type ClientUnaryCall, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { EventServiceClient } from '../../gen/customer/event/v1/event_service.js'
import { PlatformAccountServiceClient } from '../../gen/customer/platform/v1/platform_account_service.js'
import { PlatformServiceClient } from '../../gen/customer/platform/v1/platform_service.js'
import { TenantServiceClient } from '../../gen/customer/tenant/v1/tenant_service.js'
import { BadRequest, ErrorInfo, RetryInfo } from '../../gen/google/rpc/error_details.js'
import { Status } from '../../gen/google/rpc/status.js'

/** A failed call, as its details tell it. */
export class RpcError extends Error {
  readonly code: string
  readonly reason: string
  readonly metadata: Record<string, string>
  readonly violations: { field: string; description: string }[] = []
  readonly retryAfterMs: number | undefined
  readonly trailers: Metadata
  constructor(err: ServiceError) {
    super(err.details)
    this.code = status[err.code] as string
    this.trailers = err.metadata
    const bytes = err.metadata.get('grpc-status-details-bin')[0] as Buffer | undefined
    const details = bytes ? Status.decode(bytes).details : []
    const find = <T>(name: string, codec: { decode(bytes: Uint8Array): T }) => {
      const found = details.find(({ typeUrl }) => typeUrl.endsWith(`/${name}`))
      return found && codec.decode(found.value)
    }
    const info = find('google.rpc.ErrorInfo', ErrorInfo)
    this.reason = info?.reason ?? ''
    this.metadata = info?.metadata ?? {}
    this.violations.push(...(find('google.rpc.BadRequest', BadRequest)?.fieldViolations ?? []))
    const delay = find('google.rpc.RetryInfo', RetryInfo)?.retryDelay
    this.retryAfterMs = delay && Number(delay.seconds) * 1000 + delay.nanos / 1e6
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the generated client's methods are overloaded, and only their first argument is of interest
type Unary = (request: any, metadata: Metadata, options: object, callback: (err: ServiceError | null, answer: any) => void) => unknown
type Promised<C> = {
  [K in keyof C]: C[K] extends (
    request: infer Q,
    metadata: Metadata,
    options: Partial<CallOptions>,
    callback: (err: ServiceError | null, answer: infer A) => void,
  ) => ClientUnaryCall
    ? (request: Partial<Q>, headers?: Record<string, string>) => Promise<A>
    : C[K]
}

/** The generated clients with promises: rejections are RpcErrors. */
export interface Clients {
  readonly tenants: Promised<Pick<TenantServiceClient, keyof TenantServiceClient>>
  readonly events: Promised<Omit<EventServiceClient, 'watchEvents'>> & Pick<EventServiceClient, 'watchEvents'>
  readonly platform: Promised<Pick<PlatformServiceClient, keyof PlatformServiceClient>>
  readonly platformAccounts: Promised<Pick<PlatformAccountServiceClient, keyof PlatformAccountServiceClient>>
  /** The headers of these clients, for streams and for calls of one's own. */
  metadata(headers?: Record<string, string>): Metadata
  close(): void
}

export function connect(address: string, key: string | undefined, headers: Record<string, string> = {}): Clients {
  const options = { 'grpc.enable_http_proxy': 0, 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_retries': 0 }
  const opened: Client[] = []
  const metadata = (more: Record<string, string> = {}) => {
    const made = new Metadata()
    if (key !== undefined) made.set('authorization', `Bearer ${key}`)
    for (const [name, value] of Object.entries({ ...headers, ...more })) made.set(name, value)
    return made
  }
  const promised = <C extends Client>(Make: new (...args: never[]) => C, codec: Record<string, unknown>): Promised<C> => {
    const client = new (Make as unknown as new (...args: unknown[]) => C)(address, credentials.createInsecure(), options)
    opened.push(client)
    const face: Record<string, unknown> = {}
    for (const name of Object.keys(codec)) {
      const method = (client as unknown as Record<string, unknown>)[name] as Unary & { responseStream?: boolean; requestStream?: boolean }
      face[name] = (codec[name] as { responseStream: boolean }).responseStream
        ? method.bind(client)
        : (request: object, more?: Record<string, string>) =>
            new Promise((resolve, reject) => {
              const whole = fillIn(codec[name] as never, request)
              method.call(client, whole, metadata(more), { deadline: Date.now() + 15_000 }, (err, answer) =>
                err ? reject(new RpcError(err)) : resolve(answer),
              )
            })
    }
    return face as Promised<C>
  }
  return {
    tenants: promised(
      TenantServiceClient as never,
      (TenantServiceClient as unknown as { service: Record<string, unknown> }).service,
    ) as never,
    events: promised(EventServiceClient as never, (EventServiceClient as unknown as { service: Record<string, unknown> }).service) as never,
    platform: promised(
      PlatformServiceClient as never,
      (PlatformServiceClient as unknown as { service: Record<string, unknown> }).service,
    ) as never,
    platformAccounts: promised(
      PlatformAccountServiceClient as never,
      (PlatformAccountServiceClient as unknown as { service: Record<string, unknown> }).service,
    ) as never,
    metadata,
    close: () => {
      for (const client of opened) client.close()
    },
  }
}

/** The whole message: absent fields at their defaults, as the generated encoder wants them. */
function fillIn(method: { requestDeserialize(bytes: Buffer): object }, request: object): object {
  return { ...method.requestDeserialize(Buffer.alloc(0)), ...request }
}
