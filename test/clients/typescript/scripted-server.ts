import { randomUUID } from 'node:crypto'
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import type { Event } from '../../../gen/customer/event/v1/event.js'
import { Event as EventMessage } from '../../../gen/customer/event/v1/event.js'
import { EventServiceService, WatchEventsResponse } from '../../../gen/customer/event/v1/event_service.js'
import { PlatformAccountServiceService } from '../../../gen/customer/platform/v1/platform_account_service.js'
import { PlatformServiceService } from '../../../gen/customer/platform/v1/platform_service.js'
import { TenantServiceService } from '../../../gen/customer/tenant/v1/tenant_service.js'
import { BadRequest, ErrorInfo, RetryInfo } from '../../../gen/google/rpc/error_details.js'
import { Status } from '../../../gen/google/rpc/status.js'

/** What a scripted RPC was asked. */
export interface Seen {
  readonly rpc: string
  readonly request: Record<string, unknown>
  readonly metadata: Metadata
  readonly at: number
  readonly call: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>
}

export type UnaryScript = (seen: Seen, nth: number) => unknown
export type StreamScript = (call: ServerWritableStream<unknown, unknown>, seen: Seen, nth: number) => void
const services = [TenantServiceService, EventServiceService, PlatformServiceService, PlatformAccountServiceService]
type Service = typeof TenantServiceService &
  typeof EventServiceService &
  typeof PlatformServiceService &
  typeof PlatformAccountServiceService
type UnaryRpc = Exclude<keyof Service, 'watchEvents'>
export type Scripts = Partial<Record<UnaryRpc, UnaryScript>> & { watchEvents?: StreamScript }

interface FailureDetails {
  readonly domain?: string
  readonly metadata?: Record<string, string>
  readonly violations?: readonly { field: string; description: string }[]
  readonly retryAfterMs?: number
}

/** An error as the service sends it: code, text, google.rpc.Status with ErrorInfo and what else is given. */
export function failure(code: keyof typeof status, reason?: string, details: FailureDetails = {}): ServiceError {
  const any = (typeUrl: string, value: Uint8Array) => ({ typeUrl: `type.googleapis.com/${typeUrl}`, value: Buffer.from(value) })
  const { domain = 'customer-management', metadata = {}, violations, retryAfterMs } = details
  const sent = Status.encode({
    code: status[code],
    message: 'scripted',
    details: [
      ...(reason ? [any(ErrorInfo.$type, ErrorInfo.encode({ reason, domain, metadata }).finish())] : []),
      ...(violations
        ? [any(BadRequest.$type, BadRequest.encode(BadRequest.fromPartial({ fieldViolations: [...violations] })).finish())]
        : []),
      ...(retryAfterMs === undefined
        ? []
        : [
            any(
              RetryInfo.$type,
              RetryInfo.encode({
                retryDelay: { seconds: Math.trunc(retryAfterMs / 1_000), nanos: (retryAfterMs % 1_000) * 1_000_000 },
              }).finish(),
            ),
          ]),
    ],
  }).finish()
  const trailers = new Metadata()
  trailers.set('grpc-status-details-bin', Buffer.from(sent))
  return Object.assign(new Error('scripted'), { code: status[code], details: 'scripted', metadata: trailers })
}

export const sequence = (n: number) => String(n).padStart(20, '0')
export const event = (n: number): Event =>
  EventMessage.fromPartial({ id: `evt_${randomUUID()}`, type: 'com.enterprise.customer.tenant.created.v1', sequence: sequence(n) })
/** Events from..to and, unless another is given, the last as cursor. */
export const batch = (from: number, to: number, last = to) =>
  WatchEventsResponse.fromPartial({
    events: Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => event(from + i)),
    lastSequence: sequence(last),
  })

/** A real grpc-js server of the generated services whose every answer is scripted; an RPC without a script is UNIMPLEMENTED. */
export async function startScriptedServer(scripts: Scripts, { port = 0, credentials = ServerCredentials.createInsecure() } = {}) {
  const seen: Seen[] = []
  const server = new Server()
  for (const service of services) {
    const handlers = Object.fromEntries(
      Object.entries(service).map(([rpc, definition]) => {
        let nth = 0
        const record = (call: Seen['call']): Seen => {
          const entry = { rpc, request: call.request as Record<string, unknown>, metadata: call.metadata, at: performance.now(), call }
          seen.push(entry)
          return entry
        }
        if (definition.responseStream) {
          return [
            rpc,
            (call: ServerWritableStream<unknown, unknown>) => {
              const entry = record(call)
              scripts.watchEvents?.(call, entry, ++nth)
            },
          ]
        }
        return [
          rpc,
          async (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>) => {
            const entry = record(call)
            try {
              const script = scripts[rpc as UnaryRpc]
              if (!script) throw failure('UNIMPLEMENTED')
              callback(null, await script(entry, ++nth))
            } catch (error) {
              callback(error as ServiceError)
            }
          },
        ]
      }),
    )
    server.addService(service, handlers)
  }
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, found) => (error ? reject(error) : resolve(found))),
  )
  return { seen, port: bound, address: `127.0.0.1:${bound}`, stop: () => server.forceShutdown() }
}
